"""Multi-scale structural similarity (Wang, Simoncelli & Bovik, 2003).

References
----------
.. [1] Wang, Simoncelli & Bovik, Multiscale structural similarity for image quality
   assessment, Asilomar 2003, sec. 3, :doi:`10.1109/ACSSC.2003.1292216`
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
RADIUS, SIGMA = 5, 1.5
K1, K2 = 0.01, 0.03


def ms_ssim(first: Image, second: Image) -> float:
    """Return the multi-scale structural similarity of two images; 1 for equal ones.

    Parameters
    ----------
    first, second : (H, W, 3) ndarray in [0, 1]
        Both sides larger than 160 pixels, so that the window fits the smallest scale.

    Returns
    -------
    value : float in [0, 1]
        Mean over the channels of the product over five scales; a negative term counts as 0.

    Raises
    ------
    ValueError
        If the shapes differ or are too small.

    Notes
    -----
    Windows are 11 x 11 Gaussians of standard deviation 1.5 that lie wholly in the image. A scale
    is the mean of 2 x 2 pixels of the scale before; an odd side is padded with a zero at
    either end.
    """
    smallest = (2 * RADIUS) * 2 ** (len(WEIGHTS) - 1)
    if first.shape != second.shape or first.ndim != 3 or min(first.shape[:2]) <= smallest:
        raise ValueError(
            f"MS-SSIM takes two images of one shape (H, W, C) with sides above {smallest} pixels, "
            f"got {first.shape} and {second.shape}"
        )
    x, y = first.astype(np.float64), second.astype(np.float64)
    value = np.ones(x.shape[2])
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            x, y = _halve(x), _halve(y)
        luminance, contrast = _compare_windows(x, y)
        # Only the smallest scale compares luminance (eq. 7).
        term = luminance * contrast if scale == len(WEIGHTS) - 1 else contrast
        value *= np.maximum(term.mean(axis=(0, 1)), 0) ** weight
    return float(value.mean())


def _compare_windows(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return luminance, and contrast times structure, at every window (eqs. 1 to 3)."""
    mean_x, mean_y = _smooth(x), _smooth(y)
    var_x, var_y = _smooth(x * x) - mean_x**2, _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + K1**2) / (mean_x**2 + mean_y**2 + K1**2)
    contrast = (2 * covariance + K2**2) / (var_x + var_y + K2**2)
    return luminance, contrast


def _smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over Gaussian windows that lie wholly inside: both sides shrink by 10."""
    from scipy.ndimage import correlate1d  # 0.2 s to import

    kernel = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * SIGMA**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        x = correlate1d(x, kernel, axis)
    return x[RADIUS:-RADIUS, RADIUS:-RADIUS]


def _halve(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average blocks of 2 x 2 pixels."""
    rows, columns, channels = x.shape
    x = np.pad(x, ((rows % 2, rows % 2), (columns % 2, columns % 2), (0, 0)))
    rows, columns = x.shape[0] // 2, x.shape[1] // 2
    blocks = x[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, channels)
    halved: NDArray[np.float64] = blocks.mean(axis=(1, 3))
    return halved
