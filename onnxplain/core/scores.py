"""From the raw outputs of a model to the score of one class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Outputs, ScoreKind

# If a model returns probabilities, smaller ones than this are rounding noise.
SMALLEST_PROBABILITY = 1e-7
SLACK = 0.01  # how far float16 or quantisation may round probabilities out of [0, 1]


def to_probabilities(raw: NDArray[np.floating], outputs: Outputs) -> NDArray[np.float64]:
    """Turn raw outputs (N, K) into class probabilities (N, K)."""
    wide = raw.astype(np.float64)
    if outputs == "probabilities":
        return wide
    exp = np.exp(wide - wide.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = exp / exp.sum(axis=1, keepdims=True)
    return result


def are_probabilities(values: NDArray[np.floating]) -> bool:
    """Return whether all values lie in [0, 1], up to rounding; False if any is NaN."""
    return bool(values.min() >= -SLACK and values.max() <= 1 + SLACK)


def describe_range(probabilities: NDArray[np.floating]) -> str:
    """Describe what is wrong with values outside [0, 1] that are said to be probabilities."""
    low, high = probabilities.min(), probabilities.max()
    return (
        f"the classifier's probabilities lie in [{low:.4g}, {high:.4g}]; they are logits, or "
        f"a sigmoid or softmax is missing from the model; say what the scores are with "
        f"--head, or with outputs= of from_callable"
    )


def compute_target_scores(
    raw: NDArray[np.floating], target: int, *, outputs: Outputs, kind: ScoreKind = "probability"
) -> NDArray[np.float64]:
    """Compute the score of one class for every row of raw outputs.

    Parameters
    ----------
    raw : (N, K) ndarray
        The outputs of the model.
    target : int
        The class, 0 to K - 1.
    outputs : {'logits', 'probabilities'}
        What `raw` holds.
    kind : {'probability', 'log-odds', 'logit'}
        Log-odds are ``z_t - logsumexp(z_others)``, computed in float64, and from the logits if
        the model returns them: close to 1, log-odds still tell scores apart whose
        probabilities are equal after rounding. If the model returns probabilities, the logit
        is their logarithm.

    Returns
    -------
    scores : (N,) ndarray of float64
    """
    if kind == "probability":
        return to_probabilities(raw, outputs)[:, target]
    wide = raw.astype(np.float64)
    scores: NDArray[np.float64] = wide[:, target]
    if outputs == "probabilities":
        scores = np.clip(scores, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        scores = np.log(scores) - (np.log1p(-scores) if kind == "log-odds" else 0.0)
    elif kind == "log-odds":
        others = np.delete(wide, target, axis=1)
        top = others.max(axis=1)
        scores = scores - top - np.log(np.exp(others - top[:, None]).sum(axis=1))
    return scores


def differentiate_target_scores(
    raw: NDArray[np.floating], targets: NDArray[np.integer], *, outputs: Outputs, kind: ScoreKind
) -> NDArray[np.float64]:
    """Differentiate the score of each row's target by the raw outputs.

    Parameters
    ----------
    raw : (N, K) ndarray
        The outputs of the model.
    targets : (N,) ndarray of int
        A class for each row.
    outputs, kind
        As in `compute_target_scores`. Probabilities that it clips have no slope.

    Returns
    -------
    slopes : (N, K) ndarray of float64

    Examples
    --------
    >>> zero, target = np.zeros((1, 2)), np.array([1])
    >>> differentiate_target_scores(zero, target, outputs="logits", kind="probability")
    array([[-0.25,  0.25]])
    """
    wide = raw.astype(np.float64)
    rows = np.arange(len(wide))
    slopes = np.zeros_like(wide)
    slopes[rows, targets] = 1.0
    if outputs == "logits":
        if kind == "probability":
            p = to_probabilities(wide, outputs)
            slopes = p[rows, targets][:, None] * (slopes - p)
        elif kind == "log-odds":
            wide[rows, targets] = -np.inf  # the softmax of the others
            slopes -= to_probabilities(wide, outputs)
    elif kind != "probability":
        p = wide[rows, targets]
        inside = (p > SMALLEST_PROBABILITY) & (p < 1 - SMALLEST_PROBABILITY)
        p = np.where(inside, p, 0.5)
        slope = 1 / p if kind == "logit" else 1 / (p * (1 - p))
        slopes[rows, targets] = np.where(inside, slope, 0.0)
    return slopes
