"""OpenCV's blur, classical inpainting and colours, and scikit-image's contours."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from onnxplain.core.data import Image
from onnxplain.image.opencv import cv2

Classical: TypeAlias = Literal["telea", "navier-stokes"]

SequentialColours: TypeAlias = Literal["inferno", "viridis", "magma", "cividis", "turbo"]

_COLOURS: dict[SequentialColours, int] = {
    "inferno": cv2.COLORMAP_INFERNO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "magma": cv2.COLORMAP_MAGMA,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "turbo": cv2.COLORMAP_TURBO,
}
_INPAINT: dict[Classical, int] = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}


def gaussian_blur(image: Image, sigma: float) -> Image:
    """Blur every channel; the border is mirrored (d c b a | a b c d), the kernel cut at 4 sigma.

    Parameters
    ----------
    image : (H, W, 3) ndarray of float32
        Any range.
    sigma : float
        Standard deviation in pixels, above 0.
    """
    side = 2 * int(4 * sigma + 0.5) + 1
    raw: Any = cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT)
    blurred: Image = raw
    return blurred


def box_blur(image: Image, window: int) -> Image:
    """Average the `window` x `window` pixels around each pixel; the border is mirrored."""
    raw: Any = cv2.blur(image, (window, window), borderType=cv2.BORDER_REFLECT)
    blurred: Image = raw
    return blurred


def inpaint_classical(
    image: Image, hole: NDArray[np.bool_], algorithm: Classical, radius: float
) -> Image:
    """Fill a hole from its surroundings, in the 8 bits per channel that OpenCV works with.

    Parameters
    ----------
    image : (H, W, 3) ndarray of float32 in [0, 1]
        The photo.
    hole : (H, W) ndarray of bool
        True where pixels are missing.
    algorithm : {'telea', 'navier-stokes'}
        Fast marching [1]_ or fluid dynamics [2]_.
    radius : float
        Radius of the neighbourhood that fills a pixel, in pixels.

    Returns
    -------
    filled : (H, W, 3) ndarray of float32 in [0, 1]
        Known pixels may be rounded to 8 bits too.

    References
    ----------
    .. [1] Telea, An image inpainting technique based on the fast marching method, J. Graphics
       Tools 9(1), 2004, doi:10.1080/10867651.2004.10487596
    .. [2] Bertalmio, Bertozzi & Sapiro, Navier-Stokes, fluid dynamics, and image and video
       inpainting, CVPR 2001, doi:10.1109/CVPR.2001.990497
    """
    coarse, missing = np.round(image * 255).astype(np.uint8), hole.astype(np.uint8)
    # At the border of the photo, OpenCV reads pixels in the hole as if they were known, and of
    # a single row or column those beside it, which hold anything.
    coarse[hole] = np.round(cv2.mean(coarse, 1 - missing)[:3])
    rows, columns = hole.shape
    if 1 in hole.shape:
        twice = [(0, int(side == 1)) for side in hole.shape]
        coarse, missing = np.pad(coarse, [*twice, (0, 0)], "edge"), np.pad(missing, twice, "edge")
    inpainted: Any = cv2.inpaint(coarse, missing, radius, _INPAINT[algorithm])
    filled: Image = inpainted[:rows, :columns].astype(np.float32) / np.float32(255)
    return filled


def trace_contours(plane: NDArray[np.float32], level: float) -> list[NDArray[np.float64]]:
    """Trace the lines where a plane (H, W) has a value; closed at the border of the plane.

    Returns
    -------
    lines : list of (n, 2) ndarray of float64
        Rows and columns of the points of each line.
    """
    below = np.nextafter(min(float(plane.min()), level), -np.inf)
    framed = np.pad(plane.astype(np.float64), 1, constant_values=float(below))
    trace: Any = find_contours
    last = np.array(plane.shape) - 1
    return [np.clip(line - 1, 0, last) for line in trace(framed, level)]


def list_colours(name: SequentialColours) -> NDArray[np.float32]:
    """List the 256 colours (256, 3) in [0, 1] of a map of colours, from low to high values.

    All but ``turbo`` are evenly spaced to the eye; ``cividis`` is also for colour-blind eyes.
    """
    levels = np.arange(256, dtype=np.uint8)[:, None]
    bgr: Any = cv2.applyColorMap(levels, _COLOURS[name])
    colours: NDArray[np.float32] = bgr[:, 0, ::-1].astype(np.float32) / np.float32(255)
    return colours
