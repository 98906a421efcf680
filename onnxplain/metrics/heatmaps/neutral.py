"""Deletion and insertion with fills that favour none of the methods that are compared.

A map that was found with a fill does better on curves with the same fill: plain LIME where deleted
pixels get the dataset's mean, MP2 where they get the blur. The mean over fills that neither takes
by default favours no one.

References
----------
.. [1] Petsiuk, Das & Saenko, RISE: Randomized input sampling for explanation of black-box
   models, BMVC 2018, sec. 4.1, :arXiv:`1806.07421`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.core.data import Case, Heatmap, Size
from onnxplain.core.flow import Flow
from onnxplain.core.protocols import Fill
from onnxplain.fills import LocalMean, Telea, UniformNoise
from onnxplain.metrics.base import Direction, MetricResult
from onnxplain.metrics.heatmaps.curves import AlongCurve, Deletion, Insertion

NEUTRAL_FILLS: Mapping[str, Fill] = {
    fill.name: fill for fill in (UniformNoise(), LocalMean(), Telea())
}
"""The fills that the curves are averaged over; no method's default."""


@dataclass(frozen=True)
class _NeutralCurve(AlongCurve):
    """The part that both metrics share."""

    usual_fill: ClassVar[str | None] = None
    curve: ClassVar[type[Deletion] | type[Insertion]]

    def evaluations(self, size: Size) -> int:
        """Return one per point of the curve and fill."""
        return len(NEUTRAL_FILLS) * self.curve(self.step).evaluations(size)

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge one heatmap with each fill; the value is the mean."""
        curves, values, shares = [], {}, []
        for name, fill in NEUTRAL_FILLS.items():
            metric = self.curve(self.step, self.ties, fill)
            result = yield from metric.flow(case, heatmap, rng)
            values[name] = result.value
            curves.append(result.details["curve"])
            shares = result.details["share"]
        details = {"by_fill": values, "curve": np.mean(curves, axis=0).tolist(), "share": shares}
        return MetricResult(float(np.mean(list(values.values()))), details)


@dataclass(frozen=True)
class NeutralDeletion(_NeutralCurve):
    """Mean of the deletion AUC over uniform noise, the local mean, and Telea's fill.

    Use it to compare methods that take other fills than these. Telea's fill takes several times
    as long as the other two.

    Parameters
    ----------
    step, ties
        As in `Deletion`.
    """

    name: ClassVar[str] = "neutral-deletion"
    direction: ClassVar[Direction] = "lower"
    curve: ClassVar[type[Deletion] | type[Insertion]] = Deletion


@dataclass(frozen=True)
class NeutralInsertion(_NeutralCurve):
    """Mean of the insertion AUC from uniform noise, the local mean, and Telea's fill.

    Parameters
    ----------
    step, ties
        As in `Insertion`.
    """

    name: ClassVar[str] = "neutral-insertion"
    direction: ClassVar[Direction] = "higher"
    curve: ClassVar[type[Deletion] | type[Insertion]] = Insertion
