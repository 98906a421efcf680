"""Inpainting by equations, without a trained model: from the pixels round a hole, inwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Mask
from onnxplain.core.params import Param, Parametrised
from onnxplain.image import inpaint_classical


@dataclass(frozen=True)
class Telea(Parametrised):
    """Fast marching [1]_: each pixel a weighted mean of known ones, from the edge inwards.

    Parameters
    ----------
    radius : float
        Neighbourhood of a pixel, in pixels; a wider one is smoother and slower.

    Notes
    -----
    Runs for every mask, on one core, several milliseconds each at 224 x 224 pixels, the more
    the larger the hole. Filled pixels have 8 bits. Pixels with a mask of 0.5 or more are holes.

    References
    ----------
    .. [1] Telea, An image inpainting technique based on the fast marching method, J. Graphics
       Tools 9(1), 2004, doi:10.1080/10867651.2004.10487596
    """

    name: ClassVar[str] = "telea"
    radius: Annotated[float, Param("neighbourhood of a pixel, in pixels", ge=1)] = 3.0

    def prepare(self, image: Image, rng: np.random.Generator) -> Callable[[Mask], Images]:
        """A function of masks (N, H, W) to the image's pictures (N, H, W, 3)."""
        return _each(image, lambda hole: inpaint_classical(image, hole, "telea", self.radius))


@dataclass(frozen=True)
class NavierStokes(Parametrised):
    """Fluid dynamics [1]_: lines of equal brightness go on into the hole.

    Parameters
    ----------
    radius : float
        Neighbourhood of a pixel, in pixels; a wider one is smoother and slower.

    Notes
    -----
    As for `Telea`.

    References
    ----------
    .. [1] Bertalmio, Bertozzi & Sapiro, Navier-Stokes, fluid dynamics, and image and video
       inpainting, CVPR 2001, doi:10.1109/CVPR.2001.990497
    """

    name: ClassVar[str] = "navier-stokes"
    radius: Annotated[float, Param("neighbourhood of a pixel, in pixels", ge=1)] = 3.0

    def prepare(self, image: Image, rng: np.random.Generator) -> Callable[[Mask], Images]:
        """A function of masks (N, H, W) to the image's pictures (N, H, W, 3)."""
        return _each(
            image, lambda hole: inpaint_classical(image, hole, "navier-stokes", self.radius)
        )


@dataclass(frozen=True)
class Biharmonic(Parametrised):
    """The smoothest surface through the edge of the hole: the biharmonic equation [1]_.

    Notes
    -----
    Slow: a linear system with one unknown a missing pixel is solved for every mask. SP-sized
    patches take a good part of a second, half an image many seconds; meant for few masks.
    Pixels with a mask of 0.5 or more are holes.

    References
    ----------
    .. [1] Damelin & Hoang, On surface completion and image inpainting by biharmonic functions:
       numerical aspects, Int. J. Mathematics and Mathematical Sciences, 2018,
       :arXiv:`1707.06567`
    """

    name: ClassVar[str] = "biharmonic"

    def prepare(self, image: Image, rng: np.random.Generator) -> Callable[[Mask], Images]:
        """A function of masks (N, H, W) to the image's pictures (N, H, W, 3)."""
        return _each(image, lambda hole: _biharmonic(image, hole))


def _each(image: Image, fill: Callable[[NDArray[np.bool_]], Image]) -> Callable[[Mask], Images]:
    """Fill the hole of every mask; known pixels stay as they are."""

    def pictures(masks: Mask) -> Images:
        holes = masks >= 0.5
        return np.stack([_one(image, hole, fill) for hole in holes])

    return pictures


def _one(
    image: Image, hole: NDArray[np.bool_], fill: Callable[[NDArray[np.bool_]], Image]
) -> Image:
    if not hole.any():
        return image
    if hole.all():  # no edge to go by
        return np.broadcast_to(image.mean(axis=(0, 1)), image.shape)
    filled: Image = np.where(hole[..., None], fill(hole), image)
    return filled


def _biharmonic(image: Image, hole: NDArray[np.bool_]) -> Image:
    from skimage.restoration import inpaint_biharmonic  # slow to import, and rarely needed

    filled = inpaint_biharmonic(image, hole, channel_axis=-1, split_into_regions=True)
    out: Image = np.clip(filled, 0, 1).astype(np.float32)
    return out
