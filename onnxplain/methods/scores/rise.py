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
from onnxplain.methods.scores.mask_means import average, regress

N_UNSCORED = 20_000  # masks that are drawn and not scored, at least


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
    estimator : {'mean', 'regression'}
        ``mean``: the paper's. ``regression`` has the same limit, and about the noise of twice as
        many masks: what a linear model of the masks explains of the scores is averaged over many
        masks that are drawn but not scored, and only the rest over those that are scored.
        It does not depend on `normalise`.
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
    estimator: Annotated[
        Literal["mean", "regression"],
        Param("the paper's mean, or one that needs half the masks by regression"),
    ] = "mean"
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
        check_grid(self.grid, case.size, self.name)
        masks, scores = self.draw_masks(rng, self.n_masks, case.size), np.empty(0)
        unscored = None
        if self.estimator == "regression":
            unscored = self.draw_masks(rng, max(N_UNSCORED, 5 * self.n_masks), case.size)
        for look in plan_looks(FIRST_LOOK, self.n_masks, self.tolerance):
            reply = yield MaskQuery(masks.part(len(scores), look.n))
            scores = np.append(scores, reply.scores)
            scored = masks.part(0, look.n)
            heatmap, estimate = self.estimate(scored, scores, unscored)
            if is_narrow(estimate, look, self.tolerance):
                break
        meaning = Meaning(
            "mean probability of the class where random masks keep the pixel",
            is_score=True,
            noise=float(estimate.errors.max()),
        )
        return Attribution(
            heatmap,
            details=describe_precision(estimate, look, self.tolerance),
            meaning=meaning,
        )

    def estimate(
        self, masks: GridMasks, scores: Array, unscored: GridMasks | None = None
    ) -> tuple[Heatmap, Estimate]:
        """Make the map (eq. 6), and estimate its errors at as many points as it has freedom."""
        n_points = self.grid + 1
        if unscored is not None:
            return regress(masks, scores, n_points, self.p_keep, unscored)
        p_keep = self.p_keep if self.normalise == "expectation" else None
        return average(masks, scores, n_points, p_keep)

    def draw_masks(self, rng: np.random.Generator, n_masks: int, size: Size) -> GridMasks:
        """Draw grids, and by how much each is shifted."""
        removed = rng.random((n_masks, self.grid, self.grid), np.float32) >= self.p_keep
        cell = [-(-side // self.grid) for side in size]
        return GridMasks(removed.astype(np.uint8), rng.integers(0, cell, (n_masks, 2)), size)
