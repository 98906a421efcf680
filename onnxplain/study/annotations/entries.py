"""What annotations say, whatever their format, and what they may not say."""

from __future__ import annotations

import csv
import math
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any, NamedTuple

from onnxplain.core.data import Box, Size
from onnxplain.core.errors import tell_reason

EDGES = ("xmin", "ymin", "xmax", "ymax")


class Annotation(NamedTuple):
    """What one entry of the annotations says about one image.

    Parameters
    ----------
    file : str
        Path below the folder of images, with forward slashes.
    label : int, str or None
        Index or name of the class; None if it is not known.
    boxes : tuple of Box
        Where objects of the class are, in pixels of an image of the size `size`.
    size : (rows, columns), optional
        Size of the image that the boxes were drawn on.
    class_name : str, optional
        Name that the entry gives to the class of the index.
    """

    file: str
    label: int | str | None
    boxes: tuple[Box, ...] = ()
    size: Size | None = None
    class_name: str | None = None


class Notes(NamedTuple):
    """What is odd about annotations that can be used all the same."""

    bad_boxes: list[str]  # what is wrong with each box that is left out
    others: list[str]


def read_box(edges: Mapping[str, Any]) -> Box:
    """Return the box of four edges that are written by name."""
    left, top, right, bottom = (float(edges[name]) for name in EDGES)
    return Box(top, left, bottom, right)


def check_entry(
    entry: Annotation, where: str, shown: Mapping[str, Any], notes: Notes
) -> Annotation:
    """Return an entry with one spelling of its path, without boxes that no image can have.

    Boxes may reach beyond the image.
    """
    if not entry.file:
        raise ValueError(f"{where}: file must name an image, but is empty; got {shown}")
    # Else ./a.jpg and a.jpg would be two images, each with a part of the boxes.
    entry = entry._replace(file=posixpath.normpath(entry.file))
    if entry.size is not None and min(entry.size) < 1:
        raise ValueError(f"{where}: width and height must be >= 1, got {shown}")
    good = tuple(box for box in entry.boxes if _is_box(box))
    if len(good) == len(entry.boxes):
        return entry
    notes.bad_boxes.append(
        f"{where}: a box has finite edges, the left before the right one and the top "
        f"before the bottom one; got {shown}"
    )
    return entry._replace(boxes=good)


def _is_box(box: Box) -> bool:
    finite = all(map(math.isfinite, astuple(box)))
    return finite and box.left < box.right and box.top < box.bottom


@contextmanager
def locate_errors(where: str) -> Iterator[None]:
    """Begin the message of an error in the block with the file or entry that caused it."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{where}: no column or key {error}") from error
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        raise ValueError(f"{where}: {tell_reason(error)}") from error
