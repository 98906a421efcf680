"""Find the class names of a model among the sources that may hold them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from onnxplain.core.errors import ModelError
from onnxplain.describe.fields import SpecSource
from onnxplain.describe.imagenet import IMAGENET_NAMES, name_imagenet_classes
from onnxplain.describe.label_files import fit_class_names, make_printable, read_class_names

log = logging.getLogger(__name__)

NUMBERED = "numbered"  # the source of names that stand in for unknown ones


def find_class_names(
    path: Path, sources: Sequence[SpecSource], own: AbstractSet[str], classes: int | None
) -> tuple[tuple[str, ...], str] | None:
    """Return class names and the name of their source, or None if they cannot be known.

    Parameters
    ----------
    path : Path
        The model; label files are looked for beside it.
    sources : sequence of SpecSource
        In the order in which they count.
    own : set of str
        Names of the sources that are certainly meant for this model. Their class names must
        fit; class names from other sources are skipped, with a warning, if they do not fit.
    classes : int or None
        Number of scores, if it is known. Without names, 1000 or 1001 classes are then taken to be
        those of ImageNet, and others are numbered.

    Raises
    ------
    ModelError
        If the number of class names in a source that is meant for this model does not fit.
    """
    for source, raw_names, must_fit in _list_candidates(path, sources, own):
        names = tuple(map(make_printable, raw_names))
        if classes is None:
            return names, source
        try:
            return fit_class_names(names, classes, f"{path.name}: {source}"), source
        except ModelError as error:
            if must_fit:
                raise
            log.warning("%s; these names are not used", error)
    if classes is None:
        return None
    if builtin := name_imagenet_classes(classes):
        return builtin, IMAGENET_NAMES
    return tuple(f"class {index}" for index in range(max(classes, 2))), NUMBERED


def _list_candidates(
    path: Path, sources: Sequence[SpecSource], own: AbstractSet[str]
) -> Iterator[tuple[str, Sequence[str], bool]]:
    """Yield for each source of class names its name, the names, and whether they must fit."""
    for source in sources:
        if "class_names" in source.values and source.name in own:
            yield source.name, source.values["class_names"], True
    own_labels = path.with_suffix(".labels.txt")
    if own_labels.is_file():
        yield own_labels.name, read_class_names(own_labels), True
    folder_labels = path.parent / "labels.txt"
    if folder_labels.is_file():
        yield folder_labels.name, read_class_names(folder_labels), False
    for source in sources:
        if "class_names" in source.values and source.name not in own:
            yield source.name, source.values["class_names"], False
