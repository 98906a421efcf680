"""The mean score of the random masks that keep a pixel: two estimators, and their errors.

With a control variate [1]_, the mean of what a linear model of the masks explains costs no
evaluation; only the rest has to be averaged over the masks that were scored. Each score is
predicted by a model that has not seen it, so that there is no bias, however bad the model is.

References
----------
.. [1] Oates, Girolami & Chopin, Control functionals for Monte Carlo integration, Journal of the
   Royal Statistical Society B 79 (2017), sec. 2.2.3, :arXiv:`1410.2392`
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Heatmap
from onnxplain.masks.families import GridMasks
from onnxplain.methods.scores.intervals import Array, Estimate

FEATURES = 14  # points per side at which the linear model looks at a mask
PENALTY = 0.1  # of the linear model, per feature; 0.03 to 0.3 do as well
FOLDS = 5
BLOCK = 2000  # masks that are not scored are looked at in blocks


def average(
    masks: GridMasks, scores: Array, n_points: int, p_keep: float | None
) -> tuple[Heatmap, Estimate]:
    """Average the scores at each pixel over the masks that keep it.

    Parameters
    ----------
    masks : GridMasks
    scores : (N,) ndarray of float64
    n_points : int
        Points per side for which errors are estimated.
    p_keep : float, optional
        Divide the sums by ``N * p_keep``, the expected number of masks that keep the pixel,
        instead of by the sum of what the masks keep there.

    Returns
    -------
    heatmap : (H, W) ndarray of float32
    estimate : Estimate
        The map at the points; errors are those of the difference from the mean score.
    """
    # Masks say what is removed: sums of what is kept go over 1 - m.
    kept_score = scores.sum() - masks.weighted_sum(scores)
    if p_keep is None:
        kept = len(masks) - masks.weighted_sum(np.ones(len(masks)))
    else:
        kept = np.full(masks.size, len(masks) * p_keep)
    # The mean of a pixel that hardly any mask kept is noise.
    seen = kept > 1e-6 * len(masks)
    heatmap: Array = np.divide(kept_score, kept, out=np.zeros(masks.size), where=seen)

    points, score = sample_kept(masks, n_points), scores[:, None]
    if p_keep is None:
        share = np.maximum(points.mean(axis=0), 1e-6)
        values = (score * points).mean(axis=0) / share
        added = points * (score - values) / share  # by each mask, to first order
    else:
        added = score * points / p_keep
        values = added.mean(axis=0)
    errors = (added - score).std(axis=0) / np.sqrt(len(masks))
    return heatmap.astype(np.float32), Estimate(values, errors)


def regress(
    masks: GridMasks, scores: Array, n_points: int, p_keep: float, unscored: GridMasks
) -> tuple[Heatmap, Estimate]:
    """Estimate the same means with a control variate.

    Parameters
    ----------
    masks, scores, n_points
        As for `average`.
    p_keep : float
        What masks keep of any pixel on average: it is known, so that no division is noisy.
    unscored : GridMasks
        Many more masks of the same distribution, which were not scored.
    """
    predictions, coefficients = predict_others(sample_kept(masks, FEATURES), scores)
    blocks = [unscored.part(start, start + BLOCK) for start in range(0, len(unscored), BLOCK)]
    explained = np.concatenate([sample_kept(block, FEATURES) @ coefficients for block in blocks])
    rest = scores - predictions
    parts = ((masks, rest - rest.mean()), (unscored, explained - explained.mean()))

    # The mean of (score - mean score) * (1 - m): weights that add up to 0 weigh 1 - m as minus m.
    rest_sum, explained_sum = (-part.weighted_sum(w) / len(part) for part, w in parts)
    heatmap = scores.mean() + (rest_sum + explained_sum) / p_keep

    variances = [
        ((sample_kept(part, n_points) - p_keep) * w[:, None]).var(axis=0) / len(part)
        for part, w in parts
    ]
    values = heatmap[np.ix_(*_find_points(masks, n_points))].ravel()
    return heatmap.astype(np.float32), Estimate(values, np.sqrt(sum(variances)) / p_keep)


def predict_others(features: Array, scores: Array) -> tuple[Array, Array]:
    """Predict each score by a ridge regression on the samples of the other folds.

    Parameters
    ----------
    features : (N, p) ndarray of float64
    scores : (N,) ndarray of float64

    Returns
    -------
    predictions : (N,) ndarray of float64
        0 if there are fewer samples than folds.
    coefficients : (p,) ndarray of float64
        The mean of those of all folds, for samples that have not been scored.
    """
    predictions, total = np.zeros(len(scores)), np.zeros(features.shape[1])
    if len(scores) < FOLDS:
        return predictions, total
    fold = np.arange(len(scores)) % FOLDS
    for left_out in range(FOLDS):
        others = fold != left_out
        middle, mean = features[others].mean(axis=0), scores[others].mean()
        x = features[others] - middle
        gram = x.T @ x + PENALTY * x.shape[1] * np.eye(x.shape[1])
        coefficients = np.linalg.solve(gram, x.T @ (scores[others] - mean))
        predictions[~others] = mean + (features[~others] - middle) @ coefficients
        total += coefficients / FOLDS
    return predictions, total


def sample_kept(masks: GridMasks, n: int) -> Array:
    """Return what every mask keeps at n times n points, (N, n * n)."""
    return 1 - masks.sample(*_find_points(masks, n)).reshape(len(masks), -1)


def _find_points(masks: GridMasks, n: int) -> list[NDArray[np.int64]]:
    """Return n rows and n columns of pixels, evenly spaced."""
    return [(2 * np.arange(n) + 1) * side // (2 * n) for side in masks.size]
