"""How neutral a fill is: what the classifier sees in it alone (Brunke et al., 2020).

A fill should carry no evidence. Its score for the target, its top class and the entropy over
the classes show how much evidence it carries after all; `rank_correlations` of the maps made
with several fills shows how much the choice of the fill matters.

References
----------
.. [1] Brunke, Agrawal & George, Evaluating input perturbation methods for interpreting CNNs
   and saliency map comparison, ECCV 2020 workshops, :arXiv:`2101.10977`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Case, Heatmap, Size
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.params import Parametrised
from onnxplain.core.protocols import Fill
from onnxplain.masks.families import ArrayMasks
from onnxplain.metrics.base import Direction, MetricResult


@dataclass(frozen=True)
class FillScore(Parametrised):
    """Score of the target when the whole image is removed.

    It is near chance level for a neutral fill: 1 / K, or one half for an independent label. Its
    details hold the top class, its probability and the entropy in nats, which is at most
    ``log(K)``, or ``K log(2)`` for K independent labels. The heatmap is ignored.

    Parameters
    ----------
    fill : Fill, optional
        The fill; the job's fill if not given.
    """

    name: ClassVar[str] = "fill-score"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "probability"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = False

    fill: Fill | None = None

    def evaluations(self, size: Size) -> int:
        """Return 1: the fill alone."""
        return 1

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge the fill; the metric itself makes no random draws."""
        everything = ArrayMasks(np.ones((1, *case.size), np.float32))
        reply = yield MaskQuery(everything, fill=self.fill, classes=True)
        assert reply.classes is not None
        (classes,) = reply.classes
        top = int(classes.argmax())
        outcomes = np.stack([classes, 1 - classes], axis=1) if case.multilabel else [classes]
        details = {
            "top": top,
            "top_probability": float(classes[top]),
            "entropy": sum(entropy(p) for p in outcomes),
            "chance": case.chance,
        }
        return MetricResult(float(reply.scores[0]), details)


def entropy(probabilities: NDArray[np.floating]) -> float:
    """Return the entropy in nats of probabilities that sum to one.

    Examples
    --------
    >>> round(entropy(np.array([0.5, 0.5, 0.0])), 4)
    0.6931
    """
    positive = probabilities[probabilities > 0].astype(np.float64)
    return float(-(positive * np.log(positive)).sum())
