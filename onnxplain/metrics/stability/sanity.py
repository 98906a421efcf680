"""Sanity checks: a heatmap must depend on the class and the weights, and nothing else.

Each compares maps made elsewhere: of two classes, of two models that compute the same
(`onnxplain.load_shifted`), or of a model whose layers are randomised one after the other
(`onnxplain.load_randomised`).

References
----------
.. [1] Rebuffi, Fong, Ji & Vedaldi, There and back again: Revisiting backpropagation saliency
   methods, CVPR 2020, sec. 5, :doi:`10.1109/CVPR42600.2020.00886`
.. [2] Kindermans, Hooker et al., The (un)reliability of saliency methods, 2019,
   :doi:`10.1007/978-3-030-28954-6_14`
.. [3] Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018, sec. 4.1,
   :arXiv:`1810.03292`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from onnxplain.core.params import Parametrised
from onnxplain.metrics.base import Direction, MetricResult, PairMetric, nan_to_none
from onnxplain.metrics.stability.similarity import SSIM, HOGCorrelation, Spearman, scale_to_unit


@dataclass(frozen=True)
class ClassSensitivity(Parametrised):
    """Rank correlation of the maps for the most and the least probable class [1]_.

    It is 1 for a map that does not depend on the class; about 0 is good.
    """

    name: ClassVar[str] = "class-sensitivity"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "correlation"

    def compare(self, first: ArrayLike, second: ArrayLike) -> float:
        """Return the correlation, in [-1, 1]; NaN where a map is constant."""
        return Spearman().compare(first, second)


@dataclass(frozen=True)
class InputInvariance(Parametrised):
    """Largest difference of the maps of two models that compute the same [2]_.

    One model takes the image, the other the image shifted by a constant, which it subtracts
    first. A reliable method gives 0, up to the rounding of the sum.
    """

    name: ClassVar[str] = "input-invariance"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "of the heatmap"

    def compare(self, first: ArrayLike, second: ArrayLike) -> float:
        """Return the largest absolute difference of two maps of one shape."""
        a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
        if a.shape != b.shape:
            raise ValueError(f"the two maps must have one shape, got {a.shape} and {b.shape}")
        return float(np.abs(a - b).max())


@dataclass(frozen=True)
class Randomisation(Parametrised):
    """Mean rank correlation of a map with those of more and more randomised models [3]_.

    A method that explains the model loses the map as the model loses its weights.
    """

    name: ClassVar[str] = "randomisation"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "correlation"

    def judge(self, original: ArrayLike, randomised: Sequence[ArrayLike]) -> MetricResult:
        """Compare a map with those of the models with 1, 2, ... of the last layers randomised.

        Its details hold rank correlation, SSIM and HOG correlation with each map, the first
        for the last layer alone; None where a value is not defined. A constant map has no rank
        correlation: the mean leaves it out, and ``undefined`` counts it. All maps are divided
        by their largest absolute value first.

        Raises
        ------
        ValueError
            If there is no randomised map.
        """
        if not randomised:
            raise ValueError("randomisation takes one randomised map or more, got none")
        metrics: tuple[PairMetric, ...] = (Spearman(), SSIM(), HOGCorrelation())
        first, others = scale_to_unit(original), [scale_to_unit(other) for other in randomised]
        values = {
            metric.name: [metric.compare(first, other) for other in others] for metric in metrics
        }
        ranks = [value for value in values["spearman"] if np.isfinite(value)]
        details = {
            **{name: [nan_to_none(value) for value in found] for name, found in values.items()},
            "undefined": len(others) - len(ranks),
        }
        return MetricResult(float(np.mean(ranks)) if ranks else float("nan"), details)
