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

from onnxplain.core.data import Attribution, Case, Meaning, Size
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.params import Param, Parametrised
from onnxplain.masks.families import GridMasks
from onnxplain.methods.masks.optim import check_grid


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

    Notes
    -----
    The heatmap is the mean probability over the masks that keep a pixel: in [0, 1] with
    ``coverage``, and about in that range with ``expectation``. Only its differences have a
    meaning. A pixel that no mask keeps is 0. The paper uses 4000 masks for VGG-16 and 8000 for
    ResNet-50. As in the authors' program, whose scikit-image does so, masks are mirrored at the
    border of their grid; PyTorch and OpenCV repeat the outermost cell there.
    """

    name: ClassVar[str] = "rise"
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = "dataset-mean"

    n_masks: Annotated[int, Param("number of random masks", ge=1)] = 4000
    grid: Annotated[int, Param("cells per side of the random grid", ge=1)] = 7
    p_keep: Annotated[float, Param("probability that a cell is kept", gt=0, lt=1)] = 0.5
    normalise: Annotated[
        Literal["coverage", "expectation"],
        Param("divide a pixel's sum of scores by how often it was kept, or by the expected number"),
    ] = "coverage"

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one per mask."""
        return self.n_masks

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case with random masks."""
        check_grid(self.grid, case.size, "RISE")
        removed = rng.random((self.n_masks, self.grid, self.grid), np.float32) >= self.p_keep
        cell = [-(-side // self.grid) for side in case.size]
        offsets = rng.integers(0, cell, (self.n_masks, 2))
        masks = GridMasks(removed.astype(np.uint8), offsets, case.size)
        scores = (yield MaskQuery(masks)).scores
        # The paper's masks are the complement of ours: its sums go over 1 - m.
        kept_score = scores.sum() - masks.weighted_sum(scores)
        if self.normalise == "coverage":
            kept = self.n_masks - masks.weighted_sum(np.ones(self.n_masks))
        else:
            kept = np.full(case.size, self.n_masks * self.p_keep)
        # The mean of a pixel that hardly any mask kept is noise.
        seen = kept > 1e-6 * self.n_masks
        heatmap = np.divide(kept_score, kept, out=np.zeros(case.size), where=seen)  # eq. 6
        meaning = Meaning(
            "mean probability of the class where random masks keep the pixel",
            is_score=True,
            noise=float(scores.std() * np.sqrt((1 - self.p_keep) / (self.p_keep * self.n_masks))),
        )
        return Attribution(heatmap.astype(np.float32), meaning=meaning)
