"""Brings images and holes to the size that an inpainter takes, and painted images back.

The pixels in a hole influence no other pixel: on the way in, resampling weighs the known
pixels only, and on the way back the painted ones only. The mask is resampled by nearest
neighbour, never blurred, and no hole falls between the pixels.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Size
from onnxplain.image import resize

D = TypeVar("D", np.float32, np.bool_)
Holes: TypeAlias = NDArray[np.bool_]  # (N, H, W)


def fit_size(
    images: Images, holes: Holes, size: Size | None, multiple: int
) -> tuple[Images, Holes]:
    """Bring images (N, H, W, 3) and holes (N, H, W) to a size, or to multiples of a number.

    To a size they are resampled. To a multiple they are continued by their mirror image below
    and to the right, so that each pixel keeps its value.
    """
    if size is None:
        return extend(images, multiple), extend(holes, multiple)
    if images.shape[1:3] == size:
        return images, holes
    pairs = zip(images, holes, strict=True)
    resampled = [_resample(image, hole, size) for image, hole in pairs]
    return np.stack([image for image, _ in resampled]), np.stack([hole for _, hole in resampled])


def extend(array: NDArray[D], multiple: int) -> NDArray[D]:
    """Continue images (N, H, W, 3) or holes (N, H, W) by their mirror image to a multiple."""
    more = [(0, 0), *((0, -side % multiple) for side in array.shape[1:3])]
    if not any(map(any, more)):
        return array
    return np.pad(array, more + [(0, 0)] * (array.ndim - 3), mode="symmetric")


def restore_size(painted: Images, holes: Holes, size: Size, *, resampled: bool) -> Images:
    """Bring painted images back to the size that they had before `fit_size`.

    Only pixels in the holes are meaningful. Where images were resampled, pixels further from
    a hole than the filter reaches are 0.

    Parameters
    ----------
    painted : (N, h, w, 3) ndarray of float32
        What the inpainter painted.
    holes : (N, h, w) ndarray of bool
        The holes as `fit_size` returned them.
    size : (rows, columns)
        The size to return to.
    resampled : bool
        Whether `fit_size` brought the images to a size rather than to a multiple.
    """
    if not resampled:
        return painted[:, : size[0], : size[1]]
    if painted.shape[1:3] == size:
        return painted
    pairs = zip(painted, holes, strict=True)
    return np.stack([_average_counted(image, hole, size) for image, hole in pairs])


def blank_holes(images: Images, holes: Holes) -> Images:
    """Return the images with the mean of their known pixels in their holes."""
    blanked = images.copy()
    for image, hole in zip(blanked, holes, strict=True):
        image[hole] = 0
        count = hole.size - np.count_nonzero(hole)
        # A product sums pixels a hundred times as fast as a sum over two axes.
        total = np.ones(hole.size, np.float32) @ image.reshape(-1, 3)
        image[hole] = total / count if count else 0.5
    return blanked


def _resample(image: Image, hole: NDArray[np.bool_], size: Size) -> tuple[Image, NDArray[np.bool_]]:
    """Resample an image and its hole; each pixel is the weighted mean of known ones under it."""
    inner = hole[np.ix_(*_find_centres(size, hole.shape))]
    # A smaller frame steps over pixels: each pixel of a hole marks one there, too.
    rows, columns = _find_centres(hole.shape, size)
    y, x = np.nonzero(hole)
    inner[rows[y], columns[x]] = True
    return _average_counted(image, ~hole, size), inner


def _average_counted(image: Image, counts: NDArray[np.bool_], size: Size) -> Image:
    """Resample an image; each pixel is the weighted mean of those pixels that count."""
    shrinks = any(new < old for old, new in zip(counts.shape, size, strict=True))
    blanked = image.copy()
    blanked[~counts] = 0
    weight = resize(counts.astype(np.float32), size, antialias=shrinks)[..., None]
    # A pixel whose nearest neighbour counts has weight: at least a quarter by bilinear.
    mean = resize(blanked, size, antialias=shrinks) / np.maximum(weight, 1e-6)
    return mean.astype(np.float32)


def _find_centres(shape: tuple[int, ...], other: tuple[int, ...]) -> list[NDArray[np.int_]]:
    """Find, on each axis, the pixels of another size under the centres of this one's pixels."""
    return [((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, other, strict=True)]
