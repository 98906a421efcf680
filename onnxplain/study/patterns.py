"""Patterns of a classifier from photos, for ``pattern-net`` and ``pattern-attribution``."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.arrays import read_npz
from onnxplain.core.errors import ImageError
from onnxplain.core.files import check_ending, wrap_write_errors, write_atomic
from onnxplain.core.pattern_files import (
    MAX_BYTES,
    Patterns,
    decode_facts,
    encode_arrays,
    encode_facts,
)
from onnxplain.image import MAX_PIXELS, place_frame
from onnxplain.loading import ModelSource, read_classifier_file
from onnxplain.subjects import ImageSource, NamedImage, name_images, read_source
from onnxplain.version import __version__

if TYPE_CHECKING:
    from onnxplain.runtime.pattern_estimation import PatternEstimation

log = logging.getLogger(__name__)
SAVE_EVERY = 100  # photos


def estimate_patterns(
    model: ModelSource,
    photos: Iterable[ImageSource | NamedImage],
    output: str | os.PathLike[str],
    *,
    device: str = "auto",
    max_pixels: int = MAX_PIXELS,
    on_progress: Callable[[int, int], None] | None = None,
    **description: Any,
) -> Patterns:
    """Estimate the pattern of every neuron of a classifier, and write them into a file.

    Parameters
    ----------
    model : path or str
        As for `load`.
    photos : iterable of images
        Such as the classifier sees; labels are not needed. A few hundred are enough.
    output : path
        The file. While it is being made, sums stand in a file beside it, whose name ends in
        ``.part``; a run that was interrupted goes on from there.
    device : str
        As for `load`.
    max_pixels : int
        Larger photos are left out.
    on_progress : callable, optional
        Called with the number of photos done, and of all.
    **description
        What the model's file does not say, as for `load`.

    Returns
    -------
    patterns : Patterns
        What was written.

    Raises
    ------
    ModelError, ZooError
        If the model cannot be read or described, has no weights, or no photo can be read.
    OutputError
        If the file cannot be written.
    ValueError
        If its name does not end in ``.npz``.

    Notes
    -----
    Memory is 48 bytes for each weight. At each convolution 64 positions of a photo are drawn, the
    same ones for the same file name. Photos that cannot be read are left out with a warning.
    """
    from onnxplain.runtime.device import Device
    from onnxplain.runtime.pattern_estimation import PatternEstimation

    check_ending(Path(output), ".npz", "the file of patterns")
    file, spec = read_classifier_file(model, description)
    estimation = PatternEstimation(file, spec, Device.parse(device))
    path, part = Path(output), Path(f"{os.fspath(output)}.part")
    named = name_images(photos)
    done = _resume(part, file.sha256, [image.label for image in named], estimation)
    facts: dict[str, Any] = {"version": __version__, "model_sha256": file.sha256, **done}
    with wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            while facts["seen"] < len(named):
                batch = named[facts["seen"] : facts["seen"] + estimation.batch_size]
                _count_in(estimation, batch, spec, max_pixels, facts)
                if on_progress:
                    on_progress(facts["seen"], len(named))
                if facts["seen"] // SAVE_EVERY > (facts["seen"] - len(batch)) // SAVE_EVERY:
                    _save_sums(part, facts, estimation)
        except BaseException:
            _save_sums(part, facts, estimation)
            raise
        labels = facts.pop("labels")
        facts.pop("seen")
        facts["photos_sha256"] = hashlib.sha256(
            "\n".join(labels).encode(errors="surrogateescape")
        ).hexdigest()
        patterns = estimation.finish(facts)
        write_atomic(path, patterns.encode())
        part.unlink(missing_ok=True)
    return patterns


def _count_in(
    estimation: PatternEstimation,
    batch: Sequence[NamedImage],
    spec: Any,
    max_pixels: int,
    facts: dict[str, Any],
) -> None:
    """Count the photos of a batch in that can be read, and note their names."""
    images, names = [], []
    for named in batch:
        try:
            photo = read_source(named, max_pixels=max_pixels)
        except (ImageError, ValueError) as error:
            log.warning("left out: %s", error)
            continue
        rows, columns, _ = photo.shape
        images.append(place_frame((rows, columns), spec.size, spec.preprocessing).bring(photo))
        names.append(named.name)
    if images:
        estimation.add(np.stack(images), names)
    facts["photos"] += len(images)
    facts["seen"] += len(batch)
    facts["labels"] = [*facts["labels"], *(named.label for named in batch)]


def _resume(
    part: Path, sha256: str, labels: Sequence[str], estimation: PatternEstimation
) -> dict[str, Any]:
    """Take up the sums of a run that was interrupted, if it was of this model and these photos."""
    fresh = {"seen": 0, "photos": 0, "labels": []}
    if not part.exists():
        return fresh
    try:
        arrays = read_npz(part, max_bytes=MAX_BYTES)
        facts = decode_facts(arrays["facts"])
        _check_is_same(facts, sha256, labels)
        for place, sums in enumerate(estimation.sums):
            names = sums.get_arrays()
            sums.set_arrays({name: arrays[f"{name}/{place}"] for name in names})
    except Exception as error:  # whatever a damaged archive makes readers raise
        log.warning("%s is not used: %s; starting with the first photo", part, error)
        for sums in estimation.sums:
            sums.reset()
        return fresh
    log.info("%s: going on after %d photos", part, facts["seen"])
    return {name: facts[name] for name in fresh}


def _check_is_same(facts: dict[str, Any], sha256: str, labels: Sequence[str]) -> None:
    if facts["model_sha256"] != sha256 or facts["labels"] != labels[: facts["seen"]]:
        raise ValueError("it is of another model or of other photos")


def _save_sums(part: Path, facts: dict[str, Any], estimation: PatternEstimation) -> None:
    arrays: dict[str, NDArray[Any]] = {"facts": encode_facts(facts)}
    for place, sums in enumerate(estimation.sums):
        arrays.update({f"{name}/{place}": value for name, value in sums.get_arrays().items()})
    write_atomic(part, encode_arrays(arrays))
