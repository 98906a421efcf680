"""LIME on superpixels (Ribeiro, Singh & Guestrin, KDD 2016).

Superpixels are removed at random. A weighted linear model is fitted to predict the score
from the superpixels that were kept; its coefficients are the evidence of the superpixels.
With an inpainter as the fill it is LIME-G [2]_.

References
----------
.. [1] Ribeiro, Singh & Guestrin, "Why should I trust you?", KDD 2016, eq. 1 and alg. 1,
   :arXiv:`1602.04938`
.. [2] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 3.2, :arXiv:`1910.04256`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Meaning, Size
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.params import Param, Parametrised, name_owner
from onnxplain.image.superpixels import find_superpixels
from onnxplain.masks.families import SegmentMasks
from onnxplain.methods.scores.intervals import (
    FIRST_LOOK,
    Array,
    Estimate,
    Fit,
    describe_precision,
    fit_least_squares,
    is_narrow,
    plan_looks,
)


@dataclass(frozen=True)
class LIME(Parametrised):
    """Weights of superpixels in a linear model.

    Parameters
    ----------
    n_samples : int
        Random sets of superpixels that are scored; the first set keeps all of them. More
        samples give a less noisy map.
    n_segments : int
        Number of superpixels to ask SLIC for, which returns about that many. More
        superpixels find smaller parts and need more samples.
    compactness, sigma : float
        SLIC's weight of nearness against similarity of colour (high values give square
        superpixels), and the standard deviation of its smoothing in pixels.
    distance : {'cosine', 'l2'}
        Distance of a sample from the image, measured between the vectors of kept superpixels.
    kernel_width : float, optional
        Samples at distance d weigh ``sqrt(exp(-d**2 / kernel_width**2))``: a small width
        looks only at samples that keep nearly everything. If not given, 0.25 for ``cosine``,
        and ``0.75 * sqrt(S)`` for ``l2`` between vectors of S superpixels, as in the authors'
        package for vectors of S features.
    regression : {'ridge', 'lasso'}
        Penalty of the linear model; its intercept is not penalised. ``lasso`` sets small
        coefficients to 0.
    alpha : float, optional
        Weight of the penalty, as scikit-learn defines it for each regression; larger values
        shrink the coefficients. If not given, 1 for ``ridge`` and 0.01 for ``lasso``. The
        loss of ``lasso`` is a mean over the samples, so that an alpha of 1/4 or more sets all
        coefficients to 0.
    p_keep : float
        Probability that a sample keeps a superpixel. Nearer to 1, samples are nearer to the image
        and each superpixel is removed less often. It is one half in the paper.
    paired : bool
        Whether each random set is followed by its complement. It is not in the paper, and needs
        a `p_keep` of one half.
    tolerance : float, optional
        Stop as soon as the widest interval reaches no further than this share of the range of the
        coefficients to either side. It is looked at after 128, 256, 512, ... samples; there are
        at most `n_samples`. It needs ``ridge``.

    Notes
    -----
    The segmentation, distance, kernel and ridge penalty are those of the program of [2]_,
    which differ from its text (L2 of pixels, LASSO). A sample that keeps nothing has cosine
    distance 1.

    With ``ridge`` the details tell the half-width of intervals of the coefficients, which hold for
    all superpixels at once in 95 % of runs, and how many more samples narrower ones would need.
    """

    name: ClassVar[str] = "lime"
    usual_fill: ClassVar[str] = "dataset-mean"

    n_samples: Annotated[int, Param("number of random sets of superpixels", ge=2)] = 1000
    n_segments: Annotated[int, Param("about how many superpixels to make", ge=2)] = 50
    compactness: Annotated[
        float, Param("higher gives squarer superpixels, lower follows colours", gt=0)
    ] = 30.0
    sigma: Annotated[
        float, Param("smoothing before superpixels are made: standard deviation in pixels", ge=0)
    ] = 3.0
    distance: Annotated[
        Literal["cosine", "l2"], Param("how the distance of a sample from the image is measured")
    ] = "cosine"
    kernel_width: Annotated[
        float | None,
        Param(
            "smaller gives samples far from the image less weight; "
            "0.25 (cosine) or 0.75 * sqrt(superpixels) (l2) if not given",
            gt=0,
        ),
    ] = None
    regression: Annotated[
        Literal["ridge", "lasso"],
        Param("penalty of the linear model; lasso sets small coefficients to 0"),
    ] = "ridge"
    alpha: Annotated[
        float | None, Param("weight of the penalty; 1 (ridge) or 0.01 (lasso) if not given", ge=0)
    ] = None
    p_keep: Annotated[float, Param("probability that a sample keeps a superpixel", gt=0, lt=1)] = (
        0.5
    )
    paired: Annotated[bool, Param("follow each random set by its complement")] = False
    tolerance: Annotated[
        float | None,
        Param("stop when the widest interval is at most this share of the map's range", gt=0),
    ] = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if self.tolerance is not None and self.regression != "ridge":
            raise ValueError(
                f"{name_owner(self)}: tolerance={self.tolerance:g} needs regression=ridge, because "
                f"{self.regression} has no intervals"
            )
        if self.paired and self.p_keep != 0.5:
            raise ValueError(
                f"{name_owner(self)}: paired=True needs p_keep=0.5, because the complement of a "
                f"set that keeps {self.p_keep:g} of the superpixels keeps {1 - self.p_keep:g}"
            )

    @property
    def adaptive(self) -> bool:
        """Whether the scores decide how many samples are needed."""
        return self.tolerance is not None

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one per sample; the most, with a tolerance."""
        return self.n_samples

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case with random samples."""
        segments = find_superpixels(
            case.image,
            n_segments=self.n_segments,
            compactness=self.compactness,
            sigma=self.sigma,
        )
        kept, scores = self._draw_sets(rng, segments.max() + 1), np.empty(0)
        for look in plan_looks(FIRST_LOOK, self.n_samples, self.tolerance):
            removed = 1 - kept[len(scores) : look.n]
            scores = np.append(scores, (yield MaskQuery(SegmentMasks(segments, removed))).scores)
            estimate, intercept = self.fit(kept[: look.n], scores)
            if is_narrow(estimate, look, self.tolerance):
                break
        coarse = estimate.values.astype(np.float32)
        details = {
            "intercept": intercept,
            "n_segments": len(coarse),
            **describe_precision(estimate, look, self.tolerance),
        }
        known = np.isfinite(estimate.errors).all()
        meaning = Meaning(
            "probability that the superpixel adds, in a linear model",
            is_score=True,
            noise=float(estimate.errors.mean()) if known else 0.0,
        )
        return Attribution(coarse[segments], coarse=coarse, details=details, meaning=meaning)

    def _draw_sets(self, rng: np.random.Generator, n_segments: int) -> NDArray[np.uint8]:
        """Draw the superpixels that each sample keeps (N, S); the first keeps all."""
        n_draws = -(-self.n_samples // 2) if self.paired else self.n_samples
        if self.p_keep == 0.5:  # cheaper, and the sets of earlier versions
            kept = rng.integers(0, 2, (n_draws, n_segments), dtype=np.uint8)
        else:
            kept = (rng.random((n_draws, n_segments)) < self.p_keep).astype(np.uint8)
        kept[0] = 1
        if self.paired:
            kept = np.stack([kept, 1 - kept], axis=1).reshape(-1, n_segments)
        return kept[: self.n_samples]

    def fit(self, kept: NDArray[np.uint8], scores: Array) -> tuple[Estimate, float]:
        """Fit the linear model; return its coefficients with their errors, and its intercept."""
        weights = self._weigh(kept)
        if self.regression == "lasso":
            alpha = 0.01 if self.alpha is None else self.alpha
            coefficients, intercept = weighted_lasso(kept, scores, weights, alpha)
            return Estimate(coefficients, np.full_like(coefficients, np.inf)), intercept
        pairs = np.arange(len(kept)) // 2 if self.paired else None
        alpha = 1.0 if self.alpha is None else self.alpha
        fit = weighted_ridge(kept, scores, weights, alpha, pairs=pairs)
        return Estimate(fit.values[:-1], fit.errors[:-1], fit.degrees), float(fit.values[-1])

    def _weigh(self, kept: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Weigh each sample by its distance from the image."""
        n_kept, n_segments = kept.sum(axis=1, dtype=np.float64), kept.shape[1]
        if self.distance == "cosine":
            # Between a row with n ones among S entries and the row of S ones.
            distance, default_width = 1 - np.sqrt(n_kept / n_segments), 0.25
        else:
            distance, default_width = np.sqrt(n_segments - n_kept), 0.75 * np.sqrt(n_segments)
        width = self.kernel_width or default_width
        weights: NDArray[np.float64] = np.sqrt(np.exp(-((distance / width) ** 2)))
        return weights


def weighted_ridge(
    z: NDArray[np.uint8],
    y: Array,
    weights: Array,
    alpha: float,
    *,
    pairs: NDArray[np.intp] | None = None,
) -> Fit:
    """Minimise ``sum_i w_i (y_i - b - z_i beta)^2 + alpha |beta|^2`` (closed form).

    Parameters
    ----------
    z : (N, S) ndarray of {0, 1}
        The superpixels that each sample kept.
    y, weights : (N,) ndarray of float64
        Score and weight of each sample.
    alpha : float
        Weight of the penalty.
    pairs : (N,) ndarray of int, optional
        Samples with the same number were drawn together.

    Returns
    -------
    fit : Fit
        The coefficients beta, then the intercept b, which is not penalised.
    """
    design = np.column_stack([z, np.ones(len(z))])
    penalty = np.append(np.full(z.shape[1], alpha), 0.0)
    return fit_least_squares(design, y, weights=weights, penalty=penalty, groups=pairs)


def weighted_lasso(
    z: NDArray[np.uint8],
    y: NDArray[np.float64],
    weights: NDArray[np.float64],
    alpha: float,
    *,
    sweeps: int = 1000,
    tolerance: float = 1e-10,
) -> tuple[NDArray[np.float64], float]:
    """Minimise ``sum_i w_i (y_i - b - z_i beta)^2 / (2 sum w) + alpha |beta|_1``.

    Coordinate descent goes over all coefficients at most `sweeps` times (the paper's 1000),
    or until none moves by more than `tolerance`. The other arguments are those of
    `weighted_ridge`.

    Returns
    -------
    beta : (S,) ndarray of float64
    b : float
        The intercept, which is not penalised.
    """
    z_mean: Array = np.average(z, axis=0, weights=weights)
    y_mean = np.average(y, weights=weights)
    z_centred, y_centred = z - z_mean, y - y_mean  # which takes the intercept out of the fit
    weighted = z_centred * (weights / weights.sum())[:, None]
    gram = weighted.T @ z_centred
    target = weighted.T @ y_centred
    beta = np.zeros(z.shape[1])
    for _ in range(sweeps):
        before = beta.copy()
        for j in np.flatnonzero(np.diag(gram) > 0):
            pull = target[j] - gram[j] @ beta + gram[j, j] * beta[j]
            beta[j] = np.sign(pull) * max(abs(pull) - alpha, 0) / gram[j, j]
        if np.abs(beta - before).max() <= tolerance:
            break
    return beta, float(y_mean - z_mean @ beta)
