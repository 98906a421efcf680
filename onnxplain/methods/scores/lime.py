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
from onnxplain.core.params import Param, Parametrised
from onnxplain.image.superpixels import find_superpixels
from onnxplain.masks.families import SegmentMasks

MEANING = Meaning("probability that the superpixel adds, in a linear model", is_score=True)


@dataclass(frozen=True)
class LIME(Parametrised):
    """LIME on SLIC superpixels.

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

    Notes
    -----
    The segmentation, distance, kernel and ridge penalty are those of the program of [2]_,
    which differ from its text (L2 of pixels, LASSO). A sample that keeps nothing has cosine
    distance 1.
    """

    name: ClassVar[str] = "lime"
    adaptive: ClassVar[bool] = False
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

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one per sample."""
        return self.n_samples

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case with random samples."""
        segments = find_superpixels(
            case.image,
            n_segments=self.n_segments,
            compactness=self.compactness,
            sigma=self.sigma,
        )
        kept = rng.integers(0, 2, (self.n_samples, segments.max() + 1), dtype=np.uint8)
        kept[0] = 1
        reply = yield MaskQuery(SegmentMasks(segments, 1 - kept))
        fit, alpha = (weighted_ridge, 1.0) if self.regression == "ridge" else (weighted_lasso, 0.01)
        alpha = alpha if self.alpha is None else self.alpha
        coefficients, intercept = fit(kept, reply.scores, self._weigh(kept), alpha)
        coarse = coefficients.astype(np.float32)
        details = {"intercept": intercept, "n_segments": len(coarse)}
        return Attribution(coarse[segments], coarse=coarse, details=details, meaning=MEANING)

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
    z: NDArray[np.uint8], y: NDArray[np.float64], weights: NDArray[np.float64], alpha: float
) -> tuple[NDArray[np.float64], float]:
    """Minimise ``sum_i w_i (y_i - b - z_i beta)^2 + alpha |beta|^2`` (closed form).

    Parameters
    ----------
    z : (N, S) ndarray of {0, 1}
        The superpixels that each sample kept.
    y, weights : (N,) ndarray of float64
        Score and weight of each sample.
    alpha : float
        Weight of the penalty.

    Returns
    -------
    beta : (S,) ndarray of float64
    b : float
        The intercept, which is not penalised.
    """
    z_mean, y_mean, z_centred, y_centred = _centre(z, y, weights)
    weighted = z_centred * weights[:, None]
    gram = weighted.T @ z_centred + alpha * np.eye(z.shape[1])
    # Without a penalty, a superpixel that is always kept makes the matrix singular.
    solve = np.linalg.solve if alpha > 0 else lambda a, b: np.linalg.lstsq(a, b)[0]
    beta = solve(gram, weighted.T @ y_centred).astype(np.float64)
    return beta, float(y_mean - z_mean @ beta)


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
    or until none moves by more than `tolerance`. The other arguments and the
    returns are those of `weighted_ridge`.
    """
    z_mean, y_mean, z_centred, y_centred = _centre(z, y, weights)
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


def _centre(
    z: NDArray[np.uint8], y: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], np.float64, NDArray[np.float64], NDArray[np.float64]]:
    """Subtract the weighted means, which takes the intercept out of the fit.

    Returns the means of `z` and `y`, then `z` and `y` without their means.
    """
    z_mean: NDArray[np.float64] = np.average(z, axis=0, weights=weights)
    y_mean: np.float64 = np.average(y, weights=weights)
    return z_mean, y_mean, z - z_mean, y - y_mean
