"""Resizing of pictures, masks and maps."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from onnxplain.core.data import Box, Image, Interpolation, Size
from onnxplain.image.opencv import cv2

F = TypeVar("F", bound=np.floating[Any])

# How far 255 times a value may be from a whole number in a photo of 8 bits: far more than
# float32 errs, far less than the 1/257 of 16 bits.
BYTE_TOLERANCE = 1e-3

_OPENCV = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
_PILLOW: dict[Interpolation, PIL.Image.Resampling] = {
    "bilinear": PIL.Image.Resampling.BILINEAR,
    "bicubic": PIL.Image.Resampling.BICUBIC,
    "nearest": PIL.Image.Resampling.NEAREST,
    "area": PIL.Image.Resampling.BOX,
    "hamming": PIL.Image.Resampling.HAMMING,
    "lanczos": PIL.Image.Resampling.LANCZOS,
}


def resize(
    array: NDArray[F],
    size: Size,
    interpolation: Literal["bilinear", "bicubic"] = "bilinear",
    antialias: bool = False,
) -> NDArray[F]:
    """Resample to `size`, with pixel centres at half-integers.

    Parameters
    ----------
    array : (H, W) or (H, W, C) ndarray of float32 or float64
        The picture, mask or map.
    size : (rows, columns)
        Size of the result.
    interpolation : {'bilinear', 'bicubic'}
        How pixels are resampled.
    antialias : bool
        Widen the filter when the array shrinks, as Pillow and torchvision do to the photos
        that classifiers are trained on; computed in float32. Without it, each pixel of a
        shrunk picture comes from the few pixels nearest to its centre.

    Returns
    -------
    resized : ndarray of the type of `array`

    Examples
    --------
    >>> resize(np.array([[0.0, 1.0]]), (1, 4)).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    if antialias:
        return resample(array, size, interpolation).astype(array.dtype)
    rows, columns = size
    resampled: Any = cv2.resize(array, (columns, rows), interpolation=_OPENCV[interpolation])
    resized: NDArray[F] = resampled.reshape(*size, *array.shape[2:])  # OpenCV drops axes of 1
    return resized


def resample(
    array: NDArray[Any],
    size: Size,
    interpolation: Interpolation = "bilinear",
    part: Box | None = None,
) -> NDArray[np.float32]:
    """Resample a picture with Pillow's filters, antialiased, in float32.

    Parameters
    ----------
    array : (H, W) or (H, W, C) ndarray
        The picture or map.
    size : (rows, columns)
        Size of the result.
    interpolation : {'bilinear', 'bicubic', 'nearest', 'area', 'hamming', 'lanczos'}
        The filter.
    part : Box, optional
        What fills the result, in pixels and fractions; all of the picture if not given. Pixels
        beside it but within reach of the filter contribute.
    """
    channels = np.atleast_3d(array).astype(np.float32, copy=False)
    resampled = np.empty((*size, channels.shape[2]), np.float32)
    for c in range(channels.shape[2]):
        plane = PIL.Image.fromarray(np.ascontiguousarray(channels[..., c]))
        resampled[..., c] = _resize_pillow(plane, size, interpolation, part)
    return resampled.reshape(*size, *array.shape[2:])


def resample_photo(
    photo: Image, size: Size, interpolation: Interpolation = "bilinear", part: Box | None = None
) -> Image:
    """Resample a photo (H, W, 3) in [0, 1] as Pillow does: one of 8 bits in 8 bits.

    Photos of more bits are computed in float32, so that they keep their depth. Parameters as
    for `resample`.
    """
    pixels = _find_bytes(photo)
    if pixels is None:
        return np.clip(resample(photo, size, interpolation, part), 0, 1)  # some filters overshoot
    resampled = _resize_pillow(PIL.Image.fromarray(pixels), size, interpolation, part)
    return resampled.astype(np.float32) / np.float32(255)


def _find_bytes(photo: Image) -> NDArray[np.uint8] | None:
    """Return the pixels of a photo in 8 bits; None if it has values between them."""
    pixels = np.empty(photo.shape, np.uint8)
    for row in range(0, len(photo), 64):  # the whole photo in float32, twice, would be gigabytes
        levels = photo[row : row + 64] * np.float32(255)
        whole = np.rint(levels)
        if np.abs(levels - whole).max() > BYTE_TOLERANCE:
            return None
        pixels[row : row + 64] = whole
    return pixels


def _resize_pillow(
    image: PIL.Image.Image, size: Size, interpolation: Interpolation, part: Box | None
) -> NDArray[Any]:
    box = None if part is None else (part.left, part.top, part.right, part.bottom)
    return np.asarray(image.resize(size[::-1], _PILLOW[interpolation], box=box))
