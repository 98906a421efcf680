"""What a fill shows in place of removed pixels, made again for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from onnxplain.core.data import Box, Size, make_rng
from onnxplain.core.params import to_plain
from onnxplain.registry import make_fill
from onnxplain.report.material import FillPicture, Photo

MAX_PIXELS = 512 * 512  # of the classifier's input; larger fills are slow


def make_filling(
    photo: Photo, window: Box, size: Size, name: str, parameters: Mapping[str, Any], seed: int
) -> FillPicture:
    """Make the picture of a fill from the copy of a photo.

    Parameters
    ----------
    photo : Photo
        The photo.
    window : Box
        The part that the classifier saw.
    size : (rows, columns)
        Of the classifier's input, which is the unit of a fill's parameters.
    name, parameters
        The fill, as a record tells it.
    seed : int
        Of the random draws.

    Returns
    -------
    filling : FillPicture
        Without a picture if the fill depends on the mask, needs a model, or is not known.
    """
    if photo.pixels is None or size[0] * size[1] > MAX_PIXELS:
        return FillPicture(name)
    image = cut_window(photo, window, size).astype(np.float32) / np.float32(255)
    try:
        given = {key: to_plain(value) for key, value in parameters.items()}
        prepared = make_fill(name, given).prepare(image, make_rng(seed, photo.name, "fill"))
    except (ValueError, TypeError, ArithmeticError):  # of another version, or an inpainter's
        return FillPicture(name)
    if callable(prepared):
        return FillPicture(name)
    return FillPicture(name, np.rint(np.clip(prepared, 0, 1) * 255).astype(np.uint8))


def cut_window(photo: Photo, window: Box, size: Size) -> NDArray[np.uint8]:
    """Cut the window out of a photo's copy, at a size; beyond the photo it is black."""
    assert photo.pixels is not None
    y, x = (n / m for n, m in zip(photo.pixels.shape[:2], photo.size, strict=True))
    extent = (window.left * x, window.top * y, window.right * x, window.bottom * y)
    picture = PIL.Image.fromarray(photo.pixels)
    cut = picture.transform(
        size[::-1], PIL.Image.Transform.EXTENT, extent, PIL.Image.Resampling.BILINEAR
    )
    return np.asarray(cut)
