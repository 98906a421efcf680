"""Integrated gradients (Sundararajan, Taly & Yan, ICML 2017).

References
----------
.. [1] Sundararajan, Taly & Yan, Axiomatic attribution for deep networks, ICML 2017, eq. 1 and
   sec. 5, :arXiv:`1703.01365`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Meaning, ScoreKind, Size
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.formulas import ClosedForm
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param, Parametrised
from onnxplain.methods.gradients.baseline import ask_baseline, multiply
from onnxplain.methods.gradients.channels import draw_pixels
from onnxplain.methods.layers.at_layer import SCORE, describe_inside

MOST_POINTS = 256
VARIES = "with a tolerance, the number of points depends on the image; choose tolerance=0"
MEANING = Meaning("part of the score that the pixel adds, compared with the fill")


@dataclass(frozen=True)
class IntegratedGradients(Parametrised):
    """Gradients on the way from the fill to the image.

    Their mean on the straight path, times the difference of image and fill [1]_.

    Parameters
    ----------
    n_points : int
        Points on the path, at the nodes of Gauss-Legendre quadrature.
    tolerance : float
        Relative difference between the sum of the map and the change of the score at which it
        stops; until then the points are doubled, up to 256. 0 keeps `n_points`.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target. Probabilities change in a few steps of the path only, which
        needs more points.

    Notes
    -----
    The baseline of the paper [1]_ is the fill of the whole image. The sum of the map is the score
    of the image less that of the fill, but for the error of the quadrature: the record holds
    this `gap`, relative to the larger of the two.
    """

    name: ClassVar[str] = "ig"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "black"

    n_points: Annotated[int, Param("points on the path", ge=1, le=MOST_POINTS)] = 32
    tolerance: Annotated[
        float,
        Param(
            "relative error of the map's sum above which the points are doubled; 0 keeps them",
            ge=0,
            lt=1,
        ),
    ] = 0.01
    score: Annotated[ScoreKind, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(image=True, score=self.score)

    @property
    def closed_form(self) -> ClosedForm:
        """How its map is made, if the number of points does not depend on the image."""
        path = tuple(zip(*(row.tolist() for row in _place_points(self.n_points)), strict=True))
        return ClosedForm(multiply, path=path, refusal=VARIES if self.tolerance else "")

    def evaluations(self, size: Size) -> int:
        """Count the evaluations, at most: those of all numbers of points, and the two ends."""
        counts = self._list_counts() if self.tolerance else [self.n_points]
        return sum(counts) + 2

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case without random draws."""
        baseline = yield from ask_baseline(case)
        ends = yield ImageQuery(np.stack([case.image, baseline]), kind=self.score, wants=self.wants)
        change = float(ends.scores[0] - ends.scores[1])
        delta = case.image.astype(np.float64) - baseline
        passes = 2
        for n in self._list_counts() if self.tolerance else [self.n_points]:
            along, weights = _place_points(n)
            path = baseline + along[:, None, None, None] * delta
            reply = yield ImageQuery(path.astype(np.float32), wants=self.wants)
            assert reply.grads is not None
            mean = np.tensordot(weights, reply.grads.astype(np.float64), axes=1)
            heatmap = draw_pixels(multiply, delta, mean)
            total = float(heatmap.sum(dtype=np.float64))
            gap = abs(total - change) / max(abs(total), abs(change), 1e-6)
            passes += n
            if gap <= self.tolerance:
                break
        details = {
            **describe_inside(self.wants, reply, passes=passes),
            "points": n,
            "gap": gap,
            "change": change,
        }
        return Attribution(heatmap, details=details, meaning=MEANING)

    def _list_counts(self) -> list[int]:
        counts = [self.n_points]
        while counts[-1] * 2 <= MOST_POINTS:
            counts.append(counts[-1] * 2)
        return counts


def _place_points(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the places in [0, 1] of n points, and their weights, which sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2
