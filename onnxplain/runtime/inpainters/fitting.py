"""An image and its hole at the size that an inpainter takes, and what it painted back.

What was in the hole reaches no other pixel: resampling weighs the known pixels alone, and on the
way back the painted ones alone. The mask is resampled by nearest, never blurred, and no hole
falls between the pixels.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Size
from onnxplain.image import resize

Holes: TypeAlias = NDArray[np.bool_]  # (N, H, W)


def fit(images: Images, holes: Holes, size: Size | None, multiple: int) -> tuple[Images, Holes]:
    """Bring images (N, H, W, 3) and holes (N, H, W) to a size, or to multiples of a number.

    To a size they are resampled. To a multiple they are continued by their mirror image, below
    and to the right, the hole with them, so that each pixel stays what it is.
    """
    rows, columns = images.shape[1:3]
    if size is None:
        more = (0, 0), (0, -rows % multiple), (0, -columns % multiple)
        if not any(map(any, more)):
            return images, holes
        return np.pad(images, (*more, (0, 0)), mode="symmetric"), np.pad(holes, more, "symmetric")
    if size == (rows, columns):
        return images, holes
    pairs = zip(images, holes, strict=True)
    resampled = [_resample(image, hole, size) for image, hole in pairs]
    return np.stack([image for image, _ in resampled]), np.stack([hole for _, hole in resampled])


def unfit(painted: Images, holes: Holes, size: Size, *, resampled: bool) -> Images:
    """What was painted into the holes of `fit`, at the size that the images had before it.

    Where images were resampled, what is further from a hole than the filter reaches is 0.
    """
    if not resampled:
        return painted[:, : size[0], : size[1]]
    if painted.shape[1:3] == size:
        return painted
    return np.stack([_mean(*one, size) for one in zip(painted, holes, strict=True)])


def blank(images: Images, holes: Holes) -> Images:
    """The images with the mean of their known pixels in their holes: nothing shows there."""
    out = images.copy()
    for image, hole in zip(out, holes, strict=True):
        image[hole] = 0
        count = hole.size - np.count_nonzero(hole)
        # A product sums pixels a hundred times as fast as a sum over two axes.
        total = np.ones(hole.size, np.float32) @ image.reshape(-1, 3)
        image[hole] = total / count if count else 0.5
    return out


def _resample(image: Image, hole: NDArray[np.bool_], size: Size) -> tuple[Image, NDArray[np.bool_]]:
    """One image and its hole; each pixel is the weighted mean of the known ones it lies on."""
    inner = hole[np.ix_(*_centres(size, hole.shape))]
    # A smaller frame steps over pixels: each of a hole has one there, too.
    rows, columns = _centres(hole.shape, size)
    y, x = np.nonzero(hole)
    inner[rows[y], columns[x]] = True
    return _mean(image, ~hole, size), inner


def _mean(image: Image, counts: NDArray[np.bool_], size: Size) -> Image:
    """The image at another size; each pixel is the weighted mean of those that count."""
    shrinks = any(new < old for old, new in zip(counts.shape, size, strict=True))
    blanked = image.copy()
    blanked[~counts] = 0
    weight = resize(counts.astype(np.float32), size, antialias=shrinks)[..., None]
    # A pixel whose nearest counts has weight: at least a quarter by bilinear.
    mean = resize(blanked, size, antialias=shrinks) / np.maximum(weight, 1e-6)
    return mean.astype(np.float32)


def _centres(shape: tuple[int, ...], other: tuple[int, ...]) -> list[NDArray[np.int_]]:
    """For each axis, the pixels of another size that lie under the centres of this one's."""
    return [((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, other, strict=True)]
