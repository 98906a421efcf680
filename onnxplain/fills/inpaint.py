"""Likely contents of the holes, painted by a generative inpainter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Mask
from onnxplain.core.errors import InpainterError
from onnxplain.core.protocols import Inpainter

HOLE = 0.5  # the least value of a mask that makes a pixel a hole


@dataclass(frozen=True, eq=False)
class Inpaint:
    """The image with the holes of each mask painted by an inpainter: SP-G, LIME-G and so on [1]_.

    Parameters
    ----------
    inpainter : Inpainter
        The inpainter. Only its pixels inside the holes are used.

    Notes
    -----
    Pixels with a mask of 0.5 or more are holes. Where a mask below 0.5 removes a little of a
    pixel, the pixel itself stands in: an inpainter does not change the pixels that it sees.

    References
    ----------
    .. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
       generative models, ACCV 2020, :arXiv:`1910.04256`
    """

    name: ClassVar[str] = "inpaint"
    inpainter: Inpainter

    def __post_init__(self) -> None:
        if not hasattr(self.inpainter, "inpaint"):
            raise TypeError(
                f"Inpaint takes an inpainter, such as load_inpainter(path), got {self.inpainter!r}"
            )

    def prepare(self, image: Image, rng: np.random.Generator) -> HolePainter:
        """Return what paints the holes of masks (N, H, W): pictures (N, H, W, 3)."""
        return HolePainter(image, self.inpainter)


@dataclass(frozen=True, eq=False)
class HolePainter:
    """An inpainter at work on the holes of one image.

    Where it runs on the device of the classifier, the classifier may let it paint there.

    Parameters
    ----------
    image : (H, W, 3) ndarray of float32
        The image.
    inpainter : Inpainter
        The inpainter.
    """

    image: Image
    inpainter: Inpainter

    def __call__(self, masks: Mask) -> Images:
        """Paint the holes of masks (N, H, W): pictures (N, H, W, 3)."""
        holes = masks >= HOLE
        filled = np.repeat(self.image[None], len(masks), axis=0)
        with_holes = np.flatnonzero(holes.any(axis=(1, 2)))
        for start in range(0, len(with_holes), self.inpainter.batch_size):
            batch = with_holes[start : start + self.inpainter.batch_size]
            painted = self._paint(filled[batch], holes[batch])
            for i, picture in zip(batch, painted, strict=True):
                # Repeated over the channels: broadcasting that axis takes three times as long.
                hole = np.repeat(holes[i][..., None], 3, axis=-1)
                _check_finite(picture, hole)
                np.copyto(filled[i], np.clip(picture, 0, 1), where=hole)
        return filled

    def _paint(self, images: Images, holes: NDArray[np.bool_]) -> Images:
        """Paint one batch, and check the shape of the answer."""
        painted = self.inpainter.inpaint(images, holes.astype(np.float32))
        if painted.shape != images.shape:
            raise InpainterError(
                f"the inpainter returned shape {painted.shape} for images of shape {images.shape}; "
                "check its layout and size"
            )
        return painted


def _check_finite(picture: Image, hole: NDArray[np.bool_]) -> None:
    """Check that the pixels in the hole are finite numbers; the others are not used."""
    if not np.isfinite(picture).all() and not np.isfinite(picture[hole]).all():
        raise InpainterError("the inpainter painted NaN or infinite pixels; check its range")
