"""Deletion and insertion curves (Petsiuk, Das & Saenko, BMVC 2018).

Pixels are removed from the image, or brought back to a blurred copy, the most salient
first; the score is the area under the curve of the target's probability.

References
----------
.. [1] Petsiuk, Das & Saenko, RISE: Randomized input sampling for explanation of black-box
   models, BMVC 2018, sec. 4.1, :arXiv:`1806.07421`
.. [2] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 4.3 and table 3, :arXiv:`1910.04256`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxplain.core.data import Case, Heatmap, Size
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.params import Param, Parametrised
from onnxplain.core.protocols import Fill
from onnxplain.masks.families import RankMasks
from onnxplain.metrics.base import Direction, MetricResult, check_heatmap

DEFAULT_STEPS = 28  # of a curve if no step is given

Ties: TypeAlias = Literal["row-major", "random"]
Way: TypeAlias = Literal["away", "back"]


@dataclass(frozen=True)
class AlongCurve(Parametrised):
    """What all metrics share that remove pixels one after another.

    Parameters
    ----------
    step, ties
        As in `Deletion`.
    """

    looks_at_boxes: ClassVar[bool] = False
    unit: ClassVar[str] = "mean probability"

    step: Annotated[
        int | None,
        Param("pixels between two points of the curve; a 28th of the image if not given", ge=1),
    ] = None
    ties: Annotated[Ties, Param("order of pixels of equal value: row by row, or random")] = (
        "row-major"
    )


@dataclass(frozen=True)
class _Curve(AlongCurve):
    """The part that deletion and insertion share; `Deletion` describes the parameters."""

    fill: Fill | None = None

    def evaluations(self, size: Size) -> int:
        """Return one per point of the curve."""
        return len(_count_pixels_gone(size, self.step))

    def _judge(
        self, case: Case, heatmap: Heatmap, rng: np.random.Generator, way: Way
    ) -> Flow[MetricResult]:
        """Judge one heatmap; only random ties are drawn."""
        counts = _count_pixels_gone(case.size, self.step)
        rank = rank_pixels(check_heatmap(heatmap, case.size), self.ties, rng)
        if way == "away":
            masks = RankMasks(rank, counts)
        else:  # the pixels that are not back yet, which have the highest ranks, are removed
            masks = RankMasks(rank.size - 1 - rank, rank.size - counts)
        scores = (yield MaskQuery(masks, fill=self.fill)).scores
        details = {"curve": scores.tolist(), "share": (counts / counts[-1]).tolist()}
        return MetricResult(area_under_curve(scores), details)


@dataclass(frozen=True)
class Deletion(_Curve):
    """Area under the curve of the score while the most salient pixels are removed.

    Parameters
    ----------
    step : int, optional
        Pixels removed between two points of the curve; a 28th of the image if not given, which
        is 8 rows at 224 px, as in [1]_.
    ties : {'row-major', 'random'}
        Which pixels of equal value go first: in reading order, or in random order.
    fill : Fill, optional
        What stands in for removed pixels; the job's fill if not given. Mean grey in [1]_.

    Notes
    -----
    The authors' program sorts equal values arbitrarily and scores the class that the model
    ranks first; this metric scores the case's target. As in the program, the last step may be
    smaller than the others and still has the same weight.
    """

    name: ClassVar[str] = "deletion"
    direction: ClassVar[Direction] = "lower"
    usual_fill: ClassVar[str | None] = "dataset-mean"

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge one heatmap while its most salient pixels go away."""
        return self._judge(case, heatmap, rng, "away")


@dataclass(frozen=True)
class Insertion(_Curve):
    """Area under the curve of the score while the most salient pixels are brought back.

    Parameters
    ----------
    step, ties
        As in `Deletion`, of pixels that are brought back.
    fill : Fill, optional
        The picture that the curve starts from; the job's fill if not given. In [1]_ it is the
        blurred copy that `onnxplain.FoldedBlur` makes.
    """

    name: ClassVar[str] = "insertion"
    direction: ClassVar[Direction] = "higher"
    usual_fill: ClassVar[str | None] = "folded-blur"

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge one heatmap while its most salient pixels come back."""
        return self._judge(case, heatmap, rng, "back")


def rank_pixels(
    heatmap: NDArray[np.float64], ties: Ties, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the rank of each pixel, 0 for the most salient, shape (H, W)."""
    falling = -heatmap.ravel()
    if ties == "random":
        order = np.lexsort((rng.permutation(falling.size), falling))
    else:
        order = np.argsort(falling, kind="stable")
    rank = np.empty(falling.size, np.int64)
    rank[order] = np.arange(falling.size)
    return rank.reshape(heatmap.shape)


def area_under_curve(scores: ArrayLike) -> float:
    """Return the area under a curve of evenly spaced points over [0, 1], by trapezia.

    Parameters
    ----------
    scores : (S,) array
        At least two scores.

    Raises
    ------
    ValueError
        If there are fewer than two scores.

    Examples
    --------
    >>> area_under_curve([1.0, 0.5, 0.0])
    0.5
    """
    wide = np.asarray(scores, np.float64)
    if wide.ndim != 1 or len(wide) < 2:
        raise ValueError(f"a curve takes an array of two scores or more, got shape {wide.shape}")
    return float((wide.sum() - (wide[0] + wide[-1]) / 2) / (len(wide) - 1))


def _count_pixels_gone(size: Size, step: int | None) -> NDArray[np.int64]:
    """Return the number of pixels gone at each point of the curve: 0, step, 2 step, ..., all."""
    pixels = size[0] * size[1]
    step = step or -(-pixels // DEFAULT_STEPS)
    if step >= pixels > 1:
        raise ValueError(
            f"a curve with a step of {step} pixels has no point between the whole image of "
            f"{size[0]} x {size[1]} and nothing of it; give a smaller step, or none"
        )
    return np.minimum(np.arange(-(-pixels // step) + 1) * step, pixels)
