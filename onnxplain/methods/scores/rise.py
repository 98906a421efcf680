"""RISE: randomised input sampling (Petsiuk, Das & Saenko, BMVC 2018).

The classifier sees the image through many random smooth masks; the evidence of a pixel is
the mean score of the masks that keep it.

References
----------
.. [1] Petsiuk, Das & Saenko, RISE: Randomized input sampling for explanation of black-box
   models, BMVC 2018, eq. 6 and sec. 3.2, :arXiv:`1806.07421`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from onnxplain.core.data import Attribution, Case, Heatmap, Meaning, Size
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.params import Param, Parametrised
from onnxplain.masks.families import GridMasks
from onnxplain.methods.masks.optim import check_grid
from onnxplain.methods.scores.intervals import (
    FIRST_LOOK,
    Array,
    Estimate,
    describe_precision,
    is_narrow,
    plan_looks,
)


@dataclass(frozen=True)
class RISE(Parametrised):
    """Mean score of the random masks that keep a pixel.

    Parameters
    ----------
    n_masks : int
        Number of random masks; four times as many halve the noise in the map.
    grid : int
        Cells per side of the random grid; more cells find smaller parts and need more masks.
    p_keep : float
        Probability that a cell is kept; a lower one leaves less of the image in every mask.
    normalise : {'coverage', 'expectation'}
        What each pixel's weighted sum is divided by. ``coverage``: the sum of the masks there,
        which has no bias at the borders. ``expectation``: ``n_masks * p_keep``, as in the
        authors' program.
    tolerance : float, optional
        Stop as soon as the widest interval reaches no further than this share of the map's range
        to either side. It is looked at after 128, 256, 512, ... masks; there are at most
        `n_masks`.

    Notes
    -----
    The heatmap is the mean probability over the masks that keep a pixel: in [0, 1] with
    ``coverage``, and about in that range with ``expectation``. Only its differences have a
    meaning. A pixel that no mask keeps is 0. The paper uses 4000 masks for VGG-16 and 8000 for
    ResNet-50. As in the authors' program, whose scikit-image does so, masks are mirrored at the
    border of their grid; PyTorch and OpenCV repeat the outermost cell there.

    The details tell the half-width of intervals that hold for the whole map at once in 95 % of
    runs, and how many more masks narrower ones would need. They are intervals of the differences
    from the mean score of all masks, from the variance of what each mask adds.
    """

    name: ClassVar[str] = "rise"
    usual_fill: ClassVar[str] = "dataset-mean"

    n_masks: Annotated[int, Param("number of random masks", ge=1)] = 4000
    grid: Annotated[int, Param("cells per side of the random grid", ge=1)] = 7
    p_keep: Annotated[float, Param("probability that a cell is kept", gt=0, lt=1)] = 0.5
    normalise: Annotated[
        Literal["coverage", "expectation"],
        Param("divide a pixel's sum of scores by how often it was kept, or by the expected number"),
    ] = "coverage"
    tolerance: Annotated[
        float | None,
        Param("stop when the widest interval is at most this share of the map's range", gt=0),
    ] = None

    @property
    def adaptive(self) -> bool:
        """Whether the scores decide how many masks are needed."""
        return self.tolerance is not None

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one per mask; the most, with a tolerance."""
        return self.n_masks

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case with random masks."""
        check_grid(self.grid, case.size, "RISE")
        removed = rng.random((self.n_masks, self.grid, self.grid), np.float32) >= self.p_keep
        cell = [-(-side // self.grid) for side in case.size]
        offsets = rng.integers(0, cell, (self.n_masks, 2))
        masks, scores = GridMasks(removed.astype(np.uint8), offsets, case.size), np.empty(0)
        for look in plan_looks(FIRST_LOOK, self.n_masks, self.tolerance):
            reply = yield MaskQuery(masks.part(len(scores), look.n))
            scores = np.append(scores, reply.scores)
            estimate = self._estimate_points(masks.part(0, look.n), scores)
            if is_narrow(estimate, look, self.tolerance):
                break
        meaning = Meaning(
            "mean probability of the class where random masks keep the pixel",
            is_score=True,
            noise=float(estimate.errors.max()),
        )
        return Attribution(
            self.average(masks.part(0, look.n), scores),
            details=describe_precision(estimate, look, self.tolerance),
            meaning=meaning,
        )

    def average(self, masks: GridMasks, scores: Array) -> Heatmap:
        """Average the scores at each pixel over the masks that keep it (eq. 6)."""
        # The paper's masks are the complement of ours: its sums go over 1 - m.
        kept_score = scores.sum() - masks.weighted_sum(scores)
        if self.normalise == "coverage":
            kept = len(masks) - masks.weighted_sum(np.ones(len(masks)))
        else:
            kept = np.full(masks.size, len(masks) * self.p_keep)
        # The mean of a pixel that hardly any mask kept is noise.
        seen = kept > 1e-6 * len(masks)
        mean: Array = np.divide(kept_score, kept, out=np.zeros(masks.size), where=seen)
        return mean.astype(np.float32)

    def _estimate_points(self, masks: GridMasks, scores: Array) -> Estimate:
        """Estimate the map and its errors at some points, as many as a shifted grid has cells."""
        n_points = self.grid + 1
        points = [((2 * np.arange(n_points) + 1) * side) // (2 * n_points) for side in masks.size]
        kept = 1 - masks.sample(*points).reshape(len(masks), -1)
        score = scores[:, None]
        if self.normalise == "coverage":
            share = np.maximum(kept.mean(axis=0), 1e-6)
            values = (score * kept).mean(axis=0) / share
            added = kept * (score - values) / share  # by each mask, to first order
        else:
            added = score * kept / self.p_keep
            values = added.mean(axis=0)
        errors = (added - score).std(axis=0) / np.sqrt(len(masks))
        return Estimate(values, errors)
