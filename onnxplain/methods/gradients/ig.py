"""Integrated gradients (Sundararajan, Taly & Yan, ICML 2017), and input times gradient.

References
----------
.. [1] Sundararajan, Taly & Yan, Axiomatic attribution for deep networks, ICML 2017, eq. 1 and
   sec. 5, :arXiv:`1703.01365`
.. [2] Shrikumar, Greenside, Shcherbina & Kundaje, Not just a black box: Learning important
   features through propagating activation differences, 2016, :arXiv:`1605.01713`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Image, Meaning, ScoreKind, Size
from onnxplain.core.flow import FillQuery, Flow, ImageQuery
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param, Parametrised
from onnxplain.masks.families import ArrayMasks
from onnxplain.methods.layers.at_layer import SCORE, describe_inside

MOST_POINTS = 256
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
        Gap at which it stops; else the points are doubled, up to 256. 0 keeps `n_points`.
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
        float, Param("gap above which the points are doubled; 0 keeps them", ge=0, lt=1)
    ] = 0.01
    score: Annotated[ScoreKind, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(image=True, score=self.score)

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
            heatmap = (delta * mean).sum(axis=2)
            total = float(heatmap.sum())
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
        return Attribution(heatmap.astype(np.float32), details=details, meaning=MEANING)

    def _list_counts(self) -> list[int]:
        counts = [self.n_points]
        while counts[-1] * 2 <= MOST_POINTS:
            counts.append(counts[-1] * 2)
        return counts


@dataclass(frozen=True)
class InputXGradient(Parametrised):
    """Difference from the fill times the gradient.

    It is summed over colours [2]_.

    Parameters
    ----------
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated.

    Notes
    -----
    The literature multiplies by the normalised input, whose 0 is the mean of the dataset: with
    the usual fill the map is the same for models that are fed with pixels less that mean.
    """

    name: ClassVar[str] = "input-x-gradient"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "dataset-mean"

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(image=True, score=self.score)

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case without random draws."""
        baseline = yield from ask_baseline(case)
        reply = yield ImageQuery(case.image[None], wants=self.wants)
        assert reply.grads is not None
        heatmap = ((case.image - baseline) * reply.grads[0]).sum(axis=2)
        details = describe_inside(self.wants, reply)
        meaning = Meaning("change of the score along the line to the fill, to first order")
        return Attribution(heatmap.astype(np.float32), details=details, meaning=meaning)


def ask_baseline(case: Case) -> Flow[Image]:
    """Ask for the fill of the whole image."""
    everything = ArrayMasks(np.ones((1, *case.size), np.float32))
    reply = yield FillQuery(everything)
    assert reply.images is not None
    baseline: Image = reply.images[0]
    return baseline


def _place_points(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the places in [0, 1] of n points, and their weights, which sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2
