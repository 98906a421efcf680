"""FIDO: fill-in the dropout (Chang, Creager, Goldenberg & Duvenaud, ICLR 2019).

The method learns, for every pixel, the probability that the pixel is dropped. It keeps as
few pixels as possible while the class stays (preservation), or drops as few as possible
while the class goes (deletion). With a contextual inpainter as the fill it is FIDO-CA.

References
----------
.. [1] Chang et al., Explaining image classifiers by counterfactual generation, ICLR 2019,
   eq. 1, 2 and sec. 3, :arXiv:`1807.08024`
.. [2] Maddison, Mnih & Teh, The concrete distribution, ICLR 2017, :arXiv:`1611.00712`
.. [3] Kool, van Hoof & Welling, Buy 4 REINFORCE samples, get a baseline for free!, 2019
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from onnxplain.core.data import Attribution, Case, Meaning, Size
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.params import Param, Usual, name_owner
from onnxplain.masks.enlarge import Enlargement
from onnxplain.masks.families import ArrayMasks, CellMasks
from onnxplain.methods.masks.cell_method import CellMethod
from onnxplain.methods.masks.optim import Adam, FloatArray, check_grid, logit, sigmoid
from onnxplain.methods.masks.questions import ask_fills, ask_slopes, project_slope

SMALLEST = float(np.finfo(np.float64).eps)  # of a pixel's probability, as in the authors' program

MEANINGS = {
    "preservation": Meaning("probability that the pixel must be kept, less a half"),
    "deletion": Meaning("probability that the pixel must be removed, less a half"),
}


@dataclass(frozen=True)
class FIDO(CellMethod):
    """Learned probability that a pixel is dropped.

    Parameters
    ----------
    objective : {'preservation', 'deletion'}
        ``preservation`` seeks the smallest part that keeps the class, ``deletion`` the
        smallest part whose removal destroys the class.
    grid : int
        Cells per side of the mask. The probabilities of the cells are enlarged bilinearly.
    n_steps : int
        Steps of Adam; the learning rate falls linearly to 0 over them.
    n_samples : int
        Masks drawn per step, an even number; more masks make the steps less noisy.
    learning_rate : float
        Learning rate at the first step.
    sparsity : float
        Weight of the expected number of kept pixels (for deletion: of dropped pixels). A
        larger weight gives a smaller part.
    warm_up : int
        Steps over which the weight rises from 0 to `sparsity`; 0 starts at the full weight.
    temperature : float
        Temperature of the concrete relaxation [2]_. A lower temperature gives masks nearer to
        binary ones, and steeper gradients.
    estimator : {'auto', 'gradient', 'score-function'}
        How the score is differentiated. ``gradient`` goes through the relaxed masks and needs
        a classifier with gradients. ``score-function`` works with any classifier: it needs
        only the scores of binary masks of cells. These are drawn in antithetic pairs, and the
        mean of the other pairs is the baseline [3]_. ``auto`` is ``gradient`` if the
        classifier has gradients, else ``score-function``.

    Notes
    -----
    The heatmap is ``P(kept) - 0.5`` for preservation and ``P(dropped) - 0.5`` for deletion,
    in [-0.5, 0.5]. The fill is made for the drawn mask rounded to 0 and 1, and the
    gradient treats it as constant. As in the authors' program, the probabilities of the cells
    are enlarged while they are learned, but the map is computed from enlarged log-odds, which
    makes its edges sharper. After 60 steps on 20 ImageNet photos with EfficientNet-Lite0 its
    largest difference from the enlarged probabilities is 23 % of its range (mean; 20 to 26 %;
    found by `benchmarks/paper_programs.py`).
    """

    name: ClassVar[str] = "fido"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "blur"
    without_gradients: ClassVar[str] = "estimator=score-function"

    objective: Annotated[
        Literal["preservation", "deletion"],
        Param(
            "preservation: the smallest part that keeps the class; "
            "deletion: the smallest part whose removal destroys it"
        ),
    ] = "preservation"
    grid: Annotated[int, Param("cells per side of the mask", ge=2)] = Usual(56)
    n_steps: Annotated[int, Param("number of optimisation steps", ge=1)] = 300
    n_samples: Annotated[int, Param("random masks per step, an even number", ge=4)] = 8
    learning_rate: Annotated[
        float, Param("learning rate at the first step; it falls to 0", gt=0)
    ] = 0.05
    sparsity: Annotated[
        float, Param("penalty on the size of the part; larger gives a smaller part", ge=0)
    ] = 1e-3
    warm_up: Annotated[int, Param("steps over which sparsity rises from 0 to its value", ge=0)] = 30
    temperature: Annotated[
        float, Param("with estimator=gradient: softness of the masks; lower is sharper", gt=0)
    ] = 0.1
    estimator: Annotated[
        Literal["auto", "gradient", "score-function"],
        Param("how the gradient is found; auto: from the classifier, if it has gradients"),
    ] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_samples % 2:
            raise ValueError(f"{name_owner(self)}: n_samples must be even, got {self.n_samples}")

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one per mask (forward and backward with ``gradient``)."""
        return self.n_steps * self.n_samples

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case with random masks."""
        if self.estimator == "auto":
            return (yield from self.settled(gradients=False).flow(case, rng))
        check_grid(self.grid, case.size, self.name)
        enlarge = Enlargement.bilinear(self.grid, case.size)
        logits = np.zeros((self.grid, self.grid))  # log-odds that each cell is dropped
        adam, scores = Adam(), []
        sign = -1.0 if self.objective == "preservation" else 1.0
        differentiate = self._differentiate if self.estimator == "gradient" else self._estimate
        for step in range(self.n_steps):
            score, by_logit = yield from differentiate(case, logits, enlarge, rng)
            weight = self.sparsity * (min(step / self.warm_up, 1) if self.warm_up else 1)
            p = sigmoid(logits)
            by_sparsity = p * (1 - p) * enlarge.cells(np.ones(case.size))
            learning_rate = self.learning_rate * (1 - step / self.n_steps)
            slope = sign * (by_logit + weight * by_sparsity)  # eq. 1 and 2
            change, adam = adam.update(slope, learning_rate)
            logits = logits + change
            scores.append(score)
        coarse = (sign * (sigmoid(logits) - 0.5)).astype(np.float32)
        heatmap = (sign * (sigmoid(enlarge.pixels(logits)) - 0.5)).astype(np.float32)
        details = {"estimator": self.estimator, "log_odds": scores}
        return Attribution(heatmap, coarse, details=details, meaning=MEANINGS[self.objective])

    def _differentiate(
        self, case: Case, logits: FloatArray, enlarge: Enlargement, rng: np.random.Generator
    ) -> Flow[tuple[float, FloatArray]]:
        """Return the mean log-odds under relaxed masks, and their derivative for each logit."""
        u = rng.uniform(1e-6, 1 - 1e-6, (self.n_samples, *case.size))
        p = sigmoid(logits)
        # Log-odds of 0 and 1 are infinite; rounding gives such probabilities far from 0.5.
        p_pixel = np.clip(enlarge.pixels(p), SMALLEST, 1 - SMALLEST)
        dropped = sigmoid((logit(p_pixel) + logit(u)) / self.temperature)
        fills = yield from ask_fills(ArrayMasks(np.round(dropped).astype(np.float32)))
        delta = fills - case.image
        composed = case.image + dropped[..., None].astype(np.float32) * delta
        scores, slopes = yield from ask_slopes(composed, "log-odds")
        by_mask = project_slope(slopes, delta)
        by_pixel = (by_mask * dropped * (1 - dropped)).mean(axis=0) / self.temperature
        by_pixel /= p_pixel * (1 - p_pixel)  # slope of the log-odds of a probability
        return float(scores.mean()), p * (1 - p) * enlarge.cells(by_pixel)

    def _estimate(
        self, case: Case, logits: FloatArray, enlarge: Enlargement, rng: np.random.Generator
    ) -> Flow[tuple[float, FloatArray]]:
        """Return the mean log-odds under binary masks, and an estimate of their derivative."""
        u = rng.random((self.n_samples // 2, *logits.shape))
        probability = sigmoid(logits)
        dropped = np.concatenate([u, 1 - u]) < probability
        scores = (yield MaskQuery(CellMasks(dropped, case.size), kind="log-odds")).scores
        # The baseline of a sample leaves out the sample's own pair, which depends on it.
        pairs = np.tile(scores.reshape(2, -1).sum(axis=0), 2)
        others = (scores.sum() - pairs) / (len(scores) - 2)
        by_logit = np.einsum("n,nij->ij", scores - others, dropped - probability) / len(scores)
        return float(scores.mean()), by_logit
