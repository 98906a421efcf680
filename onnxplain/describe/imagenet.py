"""The class names of ImageNet-1k, for models that store no names of their own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from onnxplain.describe.label_files import BACKGROUND

IMAGENET_NAMES = "built-in ImageNet names"  # the source of names that are a guess


@cache
def list_imagenet_classes() -> tuple[str, ...]:
    """List the names of the 1000 classes; commas separate the synonyms of a class."""
    path = Path(__file__).with_name("imagenet_classes.txt")
    return tuple(path.read_text(encoding="utf-8").splitlines())


def name_imagenet_classes(classes: int) -> tuple[str, ...] | None:
    """Return the names of 1000 classes, or of 1001 with the background first; else None.

    A model with as many classes is most often of ImageNet, but need not be: say where the names
    are from.
    """
    names = list_imagenet_classes()
    if classes == len(names) + 1:
        return BACKGROUND, *names
    return names if classes == len(names) else None
