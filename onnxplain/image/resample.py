"""Resizing of pictures, masks and maps."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from onnxplain.core.data import Box, Interpolation, Size
from onnxplain.image.opencv import cv2

F = TypeVar("F", bound=np.floating[Any])

_OPENCV: dict[Interpolation, int] = {
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    # INTER_NEAREST takes the pixel at a corner; this one takes the pixel at the centre.
    "nearest": cv2.INTER_NEAREST_EXACT,
    "area": cv2.INTER_AREA,
}
_PILLOW: dict[Interpolation, PIL.Image.Resampling] = {
    "bilinear": PIL.Image.Resampling.BILINEAR,
    "bicubic": PIL.Image.Resampling.BICUBIC,
    "nearest": PIL.Image.Resampling.NEAREST,
    "area": PIL.Image.Resampling.BOX,
}


def resize(
    array: NDArray[F],
    size: Size,
    interpolation: Interpolation = "bilinear",
    antialias: bool = False,
) -> NDArray[F]:
    """Resample to `size`, with pixel centres at half-integers.

    Parameters
    ----------
    array : (H, W) or (H, W, C) ndarray of float32 or float64
        The picture, mask or map.
    size : (rows, columns)
        Size of the result.
    interpolation : {'bilinear', 'bicubic', 'nearest', 'area'}
        How pixels are resampled.
    antialias : bool
        Widen the filter when the array shrinks, as Pillow and torchvision do to the photos
        that classifiers are trained on; computed in float32. Without it, each pixel of a
        shrunk picture comes from the few pixels nearest to its centre (except ``'area'``).

    Returns
    -------
    resized : ndarray of the type of `array`

    Examples
    --------
    >>> resize(np.array([[0.0, 1.0]]), (1, 4)).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    if antialias:
        whole = Box(0, 0, array.shape[0], array.shape[1])
        return resample_box(array, whole, size, interpolation).astype(array.dtype)
    rows, columns = size
    resampled: Any = cv2.resize(array, (columns, rows), interpolation=_OPENCV[interpolation])
    resized: NDArray[F] = resampled.reshape(*size, *array.shape[2:])  # OpenCV drops axes of 1
    return resized


def resample_box(
    array: NDArray[Any], box: Box, size: Size, interpolation: Interpolation
) -> NDArray[np.float32]:
    """Resample the part of a picture inside `box` (in pixels, fractions allowed), antialiased.

    Pixels outside the box but within reach of the filter contribute, so that the result equals
    a cut-out of the whole picture resized.
    """
    rows, columns = size
    edges = (box.left, box.top, box.right, box.bottom)
    channels = np.atleast_3d(array).astype(np.float32, copy=False)
    resampled = np.empty((rows, columns, channels.shape[2]), np.float32)
    for c in range(channels.shape[2]):
        plane = PIL.Image.fromarray(np.ascontiguousarray(channels[..., c]))
        scaled = plane.resize((columns, rows), _PILLOW[interpolation], box=edges)
        resampled[..., c] = np.asarray(scaled)
    return resampled.reshape(*size, *array.shape[2:])
