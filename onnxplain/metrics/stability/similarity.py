"""How alike two heatmaps are: SSIM, Pearson correlation of HOG features, Spearman.

References
----------
.. [1] Bansal, Agarwal & Nguyen, SAM: The sensitivity of attribution methods to
   hyperparameters, CVPR 2020, sec. 4, :arXiv:`2003.08754`
.. [2] Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018, sec. 3,
   :arXiv:`1810.03292`
.. [3] Wang, Bovik, Sheikh & Simoncelli, Image quality assessment: From error visibility to
   structural similarity, IEEE Trans. Image Process. 13, 2004, :doi:`10.1109/TIP.2003.819861`
.. [4] Dalal & Triggs, Histograms of oriented gradients for human detection, CVPR 2005,
   :doi:`10.1109/CVPR.2005.177`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxplain.core.params import Param, Parametrised, name_owner
from onnxplain.metrics.base import Direction, to_map


@dataclass(frozen=True)
class SSIM(Parametrised):
    """Structural similarity, the mean over sliding windows [3]_; 1 for equal maps.

    Parameters
    ----------
    data_range : float
        Width of the range that the maps' values lie in: 2 for [-1, 1], 1 for [0, 1]. It is
        the range of the method, not of the single map, so that faint maps are not amplified.
    window : int
        Side of the window in pixels, odd; 5 in [1]_.
    """

    name: ClassVar[str] = "ssim"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "index, at most 1"

    data_range: Annotated[float, Param("width of the range that the maps' values lie in", gt=0)] = (
        2.0
    )
    window: Annotated[int, Param("side of the window in pixels, odd", ge=3)] = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window % 2 == 0:
            raise ValueError(f"{name_owner(self)}: window must be odd, got {self.window}")

    def compare(self, first: ArrayLike, second: ArrayLike) -> float:
        """Return the similarity of two maps (H, W), in [-1, 1]; NaN for maps below a window."""
        from skimage.metrics import structural_similarity  # 0.3 s to import

        a, b = _check_maps(first, second)
        if min(a.shape) < self.window:
            return float("nan")
        value = structural_similarity(a, b, win_size=self.window, data_range=self.data_range)
        return float(value)


@dataclass(frozen=True)
class HOGCorrelation(Parametrised):
    """Pearson correlation of the maps' histograms of oriented gradients [4]_.

    Parameters
    ----------
    cell : int
        Side in pixels of the cells whose gradients are counted; 16 in [1]_. All else is as
        in scikit-image: 9 unsigned directions, blocks of 3 x 3 cells, L2-Hys.
    """

    name: ClassVar[str] = "hog"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "correlation"

    cell: Annotated[int, Param("side in pixels of the cells whose gradients are counted", ge=1)] = (
        16
    )

    def compare(self, first: ArrayLike, second: ArrayLike) -> float:
        """Return the correlation, in [-1, 1]; NaN for maps below 3 x 3 cells or flat maps."""
        from skimage.feature import hog  # 0.3 s to import

        a, b = _check_maps(first, second)
        if min(a.shape) < 3 * self.cell:
            return float("nan")
        cell = (self.cell, self.cell)
        return correlation(hog(a, pixels_per_cell=cell), hog(b, pixels_per_cell=cell))


@dataclass(frozen=True)
class Spearman(Parametrised):
    """Correlation of the ranks of the maps' pixels, with sign; ties share their mean rank.

    Only ranks count, so an increasing function of a map gives the same value.
    """

    name: ClassVar[str] = "spearman"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "correlation"

    def compare(self, first: ArrayLike, second: ArrayLike) -> float:
        """Return the rank correlation, in [-1, 1]; NaN where a map is constant."""
        from scipy.stats import rankdata  # 0.5 s to import

        a, b = _check_maps(first, second)
        return correlation(rankdata(a.ravel()), rankdata(b.ravel()))


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the Pearson correlation of two vectors; NaN where one is constant.

    Examples
    --------
    >>> correlation(np.array([1.0, 2.0]), np.array([8.0, 5.0]))
    -1.0
    """
    a, b = first - first.mean(), second - second.mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.clip(a @ b / norm, -1, 1)) if norm > 0 else float("nan")


def scale_to_unit(heatmap: ArrayLike) -> NDArray[np.float64]:
    """Divide a map by its largest absolute value, so that it lies in [-1, 1]; zeros stay.

    [1]_ does so before comparing maps whose values have no fixed range, such as LIME's
    coefficients.
    """
    wide = np.asarray(heatmap, np.float64)
    top = np.abs(wide).max()
    return wide / top if top > 0 else wide


def _check_maps(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Return two maps in float64 after checking shapes and values."""
    a, b = to_map(first), to_map(second)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(
            f"the two maps must have one shape (H, W), got {a.shape} and {b.shape}; "
            "give both for the same part of the same image"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a map holds NaN or infinite values; give finite ones")
    return a, b
