"""An image and its hole at the size that an inpainter takes, and what it painted back.

What was in the hole reaches no other pixel: resampling weighs the known pixels alone, and the
mask is resampled by nearest, never blurred.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.data import Image, Images, Size
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


def unfit(painted: Images, size: Size, *, resampled: bool) -> Images:
    """What was painted, at the size that the images had before `fit`."""
    if not resampled:
        return painted[:, : size[0], : size[1]]
    if painted.shape[1:3] == size:
        return painted
    shrinks = _shrinks(painted.shape[1:3], size)
    return np.stack([resize(image, size, antialias=shrinks) for image in painted])


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
    shrinks = _shrinks(hole.shape, size)
    known = (~hole).astype(np.float32)
    weight = resize(known, size, antialias=shrinks)[..., None]
    blanked = image.copy()
    blanked[hole] = 0
    seen = resize(blanked, size, antialias=shrinks)
    rows, columns = (
        ((np.arange(inner) + 0.5) * outer / inner).astype(int)
        for inner, outer in zip(size, hole.shape, strict=True)
    )
    # A pixel whose nearest is known has weight: at least a quarter by bilinear.
    mean = (seen / np.maximum(weight, 1e-6)).astype(np.float32)
    return mean, hole[np.ix_(rows, columns)]


def _shrinks(shape: tuple[int, ...], size: Size) -> bool:
    """Whether a side gets smaller; a filter that is widened for it leaves the other as it is."""
    return any(new < old for old, new in zip(shape, size, strict=True))
