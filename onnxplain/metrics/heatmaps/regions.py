"""Region perturbation: AOPC by MoRF and LeRF, and the area between them, ABPC.

Square regions of the image are removed, the most relevant first (MoRF) or the least
relevant first (LeRF); the mean drop of the target's score over the steps is the AOPC.

References
----------
.. [1] Samek, Binder, Montavon, Lapuschkin & Müller, Evaluating the visualization of what a
   deep neural network has learned, IEEE TNNLS 28, 2017, eq. 12, :arXiv:`1509.06321`
.. [2] Brunke, Agrawal & George, Evaluating input perturbation methods for interpreting CNNs
   and saliency map comparison, ECCV 2020 workshops, :arXiv:`2101.10977`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Case, Heatmap, Size
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.params import Param, Parametrised
from onnxplain.core.protocols import Fill
from onnxplain.masks.families import RankMasks
from onnxplain.metrics.base import Direction, MetricResult, check_heatmap

Order: TypeAlias = Literal["most", "least"]


@dataclass(frozen=True)
class _Regions(Parametrised):
    """The part that the three metrics share; `MoRF` describes the parameters."""

    usual_fill: ClassVar[str | None] = "uniform-noise"
    looks_at_boxes: ClassVar[bool] = False

    patch: Annotated[int, Param("side of the regions in pixels", ge=1)] = 9
    steps: Annotated[int, Param("number of regions removed", ge=1)] = 100
    fill: Fill | None = None

    def evaluations(self, size: Size) -> int:
        """Return one per step, and one for the image itself."""
        return len(self._list_counts(size))

    def _list_counts(self, size: Size) -> NDArray[np.int64]:
        """Return the number of regions gone at each point of the curve: 0, 1, 2, ..."""
        regions = -(-size[0] // self.patch) * -(-size[1] // self.patch)
        return np.arange(min(self.steps, regions) + 1)

    def _measure_curve(
        self, case: Case, heatmap: Heatmap, order: Order
    ) -> Flow[NDArray[np.float64]]:
        """Return the scores after 0, 1, 2, ... regions are gone."""
        rank = rank_regions(check_heatmap(heatmap, case.size), self.patch, order)
        reply = yield MaskQuery(RankMasks(rank, self._list_counts(case.size)), fill=self.fill)
        return reply.scores


@dataclass(frozen=True)
class MoRF(_Regions):
    """Mean drop of the score while the most relevant regions are removed first.

    Parameters
    ----------
    patch : int
        Side in pixels of the regions that tile the image; those at its lower and right
        border are cut off. 9 in [1]_. The relevance of a region is the mean of its pixels.
    steps : int
        Regions removed, or all of them if there are fewer; 100 in [1]_.
    fill : Fill, optional
        What stands in for removed regions; the job's fill if not given. Uniform noise in
        [1]_; the choice changes the result [2]_.
    """

    name: ClassVar[str] = "morf"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "mean drop of probability"

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge one heatmap without random draws."""
        curve = yield from self._measure_curve(case, heatmap, "most")
        return MetricResult(aopc(curve), {"curve": curve.tolist()})


@dataclass(frozen=True)
class LeRF(_Regions):
    """Mean drop of the score while the least relevant regions are removed first.

    Parameters
    ----------
    patch, steps, fill
        As in `MoRF`.
    """

    name: ClassVar[str] = "lerf"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "mean drop of probability"

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge one heatmap without random draws."""
        curve = yield from self._measure_curve(case, heatmap, "least")
        return MetricResult(aopc(curve), {"curve": curve.tolist()})


@dataclass(frozen=True)
class ABPC(_Regions):
    """Area between the curves of MoRF and LeRF.

    It is the AOPC of MoRF minus that of LeRF.

    Parameters
    ----------
    patch, steps, fill
        As in `MoRF`.
    """

    name: ClassVar[str] = "abpc"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "mean difference of probability"

    def evaluations(self, size: Size) -> int:
        """Return two per step, and two for the image itself."""
        return 2 * super().evaluations(size)

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge one heatmap without random draws."""
        most = yield from self._measure_curve(case, heatmap, "most")
        least = yield from self._measure_curve(case, heatmap, "least")
        details = {
            "morf": aopc(most),
            "lerf": aopc(least),
            "morf_curve": most.tolist(),
            "lerf_curve": least.tolist(),
        }
        return MetricResult(aopc(most) - aopc(least), details)


def aopc(curve: NDArray[np.float64]) -> float:
    """Return ``1 / (L + 1) * sum_k (f(x_0) - f(x_k))`` over the L + 1 points of a curve (eq. 12).

    Examples
    --------
    >>> aopc(np.array([1.0, 0.5, 0.0]))
    0.5
    """
    return float((curve[0] - curve).mean())


def rank_regions(heatmap: NDArray[np.float64], patch: int, order: Order) -> NDArray[np.int64]:
    """Return the rank of each pixel's region, 0 for the first to go; shape (H, W).

    Regions of equal relevance go in reading order.
    """
    rows, columns = (np.arange(side) // patch for side in heatmap.shape)
    region = rows[:, None] * (columns[-1] + 1) + columns
    above = (heatmap - heatmap.min()) / (np.ptp(heatmap) or 1.0)
    relevance = np.bincount(region.ravel(), above.ravel()) / np.bincount(region.ravel())
    # In float64 equal means of regions of different sizes may differ by rounding. Float32 keeps
    # differences that are small beside the values, as these are in units of the map's range.
    relevance = relevance.astype(np.float32)
    sequence = np.argsort(-relevance if order == "most" else relevance, kind="stable")
    rank = np.empty(len(sequence), np.int64)
    rank[sequence] = np.arange(len(sequence))
    ranks: NDArray[np.int64] = rank[region]
    return ranks
