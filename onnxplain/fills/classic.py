"""Inpainting by equations, without a trained model: from the edge of a hole inwards."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.cores import count_cores
from onnxplain.core.data import Image, Images, Mask
from onnxplain.core.params import Param, Parametrised
from onnxplain.image import inpaint_classical

FillHole: TypeAlias = Callable[[NDArray[np.bool_]], Image]


@dataclass(frozen=True)
class Telea(Parametrised):
    """Fast marching [1]_: each pixel is a weighted mean of known pixels, from the edge inwards.

    Parameters
    ----------
    radius : float
        Radius, in pixels, of the neighbourhood that a pixel is filled from; a larger radius
        gives a smoother result and is slower.

    Notes
    -----
    Each mask is filled on one core, which takes several milliseconds at 224 x 224 pixels, and
    longer for larger holes; several masks are filled side by side. Filled pixels have 8 bits per
    channel. Pixels with a mask of 0.5 or more are holes.

    References
    ----------
    .. [1] Telea, An image inpainting technique based on the fast marching method, J. Graphics
       Tools 9(1), 2004, doi:10.1080/10867651.2004.10487596
    """

    name: ClassVar[str] = "telea"
    radius: Annotated[
        float, Param("radius in pixels of the neighbourhood that a pixel is filled from", ge=1)
    ] = 3.0

    def prepare(self, image: Image, rng: np.random.Generator) -> Callable[[Mask], Images]:
        """Return the function that fills the holes of masks (N, H, W): pictures (N, H, W, 3)."""
        return fill_each_hole(
            image,
            lambda hole: inpaint_classical(image, hole, "telea", self.radius),
            threads=count_cores(),
        )


@dataclass(frozen=True)
class NavierStokes(Parametrised):
    """Fluid dynamics [1]_: lines of equal brightness continue into the hole.

    Parameters
    ----------
    radius : float
        Radius, in pixels, of the neighbourhood that a pixel is filled from; a larger radius
        gives a smoother result and is slower.

    Notes
    -----
    The notes on `Telea` (speed, 8 bits, holes) hold here too.

    References
    ----------
    .. [1] Bertalmio, Bertozzi & Sapiro, Navier-Stokes, fluid dynamics, and image and video
       inpainting, CVPR 2001, doi:10.1109/CVPR.2001.990497
    """

    name: ClassVar[str] = "navier-stokes"
    radius: Annotated[
        float, Param("radius in pixels of the neighbourhood that a pixel is filled from", ge=1)
    ] = 3.0

    def prepare(self, image: Image, rng: np.random.Generator) -> Callable[[Mask], Images]:
        """Return the function that fills the holes of masks (N, H, W): pictures (N, H, W, 3)."""
        return fill_each_hole(
            image,
            lambda hole: inpaint_classical(image, hole, "navier-stokes", self.radius),
            threads=count_cores(),
        )


@dataclass(frozen=True)
class Biharmonic(Parametrised):
    """The smoothest surface through the edge of the hole, by the biharmonic equation [1]_.

    Notes
    -----
    It is slow and meant for few masks: every mask needs the solution of a linear system with
    one unknown per missing pixel. A patch of SP's size takes a good part of a second, half an
    image many seconds. Pixels with a mask of 0.5 or more are holes.

    References
    ----------
    .. [1] Damelin & Hoang, On surface completion and image inpainting by biharmonic functions:
       numerical aspects, Int. J. Mathematics and Mathematical Sciences, 2018,
       :arXiv:`1707.06567`
    """

    name: ClassVar[str] = "biharmonic"

    def prepare(self, image: Image, rng: np.random.Generator) -> Callable[[Mask], Images]:
        """Return the function that fills the holes of masks (N, H, W): pictures (N, H, W, 3)."""
        return fill_each_hole(image, lambda hole: _solve_biharmonic(image, hole))


def fill_each_hole(image: Image, fill: FillHole, *, threads: int = 1) -> Callable[[Mask], Images]:
    """Return a function that fills the hole of every mask and leaves known pixels as they are.

    Parameters
    ----------
    image : (H, W, 3) ndarray of float32
        The photo.
    fill : callable
        Fills one hole (H, W).
    threads : int
        Holes that are filled side by side; more than one helps if `fill` releases Python's lock.
    """

    def fill_one(hole: NDArray[np.bool_]) -> Image:
        return _fill_hole(image, hole, fill)

    def fill_holes(masks: Mask) -> Images:
        holes = masks >= 0.5
        if min(threads, len(holes)) < 2:
            return np.stack([fill_one(hole) for hole in holes])
        with ThreadPoolExecutor(min(threads, len(holes))) as pool:
            return np.stack(list(pool.map(fill_one, holes)))

    return fill_holes


def _fill_hole(image: Image, hole: NDArray[np.bool_], fill: FillHole) -> Image:
    if not hole.any():
        return image
    if hole.all():  # there is no edge to start from
        return np.broadcast_to(image.mean(axis=(0, 1)), image.shape)
    filled: Image = np.where(hole[..., None], fill(hole), image)
    return filled


def _solve_biharmonic(image: Image, hole: NDArray[np.bool_]) -> Image:
    from skimage.restoration import inpaint_biharmonic  # slow to import, and rarely needed

    filled = inpaint_biharmonic(image, hole, channel_axis=-1, split_into_regions=True)
    picture: Image = np.clip(filled, 0, 1).astype(np.float32)
    return picture
