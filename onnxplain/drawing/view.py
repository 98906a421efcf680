"""Which part of a photo a picture shows: all of it, or what the classifier saw."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Box, Size
from onnxplain.results import Explanation


class View(NamedTuple):
    """A part of a photo, and the window of the classifier in its pixels.

    Parameters
    ----------
    photo : (rows, columns, 3) ndarray of uint8, or None
        The part; None if the explanation has no photo.
    window : Box
        What the classifier saw.
    size : (rows, columns)
        Of the part.
    """

    photo: NDArray[np.uint8] | None
    window: Box
    size: Size


def view_whole(explanation: Explanation) -> View:
    """Return all of the photo."""
    rows, columns = explanation.provenance["image_size"]
    window = explanation.window or Box(0, 0, rows, columns)
    return View(explanation.photo, window, (rows, columns))


def view_seen(explanation: Explanation) -> View:
    """Return the part that the classifier saw, in whole pixels."""
    photo, window, (rows, columns) = view_whole(explanation)
    top, bottom = _cut_axis(window.top, window.bottom, rows)
    left, right = _cut_axis(window.left, window.right, columns)
    return View(
        None if photo is None else photo[top:bottom, left:right],
        Box(window.top - top, window.left - left, window.bottom - top, window.right - left),
        (bottom - top, right - left),
    )


def _cut_axis(start: float, end: float, length: int) -> tuple[int, int]:
    """Return the pixels of one side of which the classifier saw most; at least one."""
    first = min(max(math.floor(start + 0.5), 0), length - 1)
    return first, max(min(math.ceil(end - 0.5), length), first + 1)
