"""From the raw outputs of a model to the score of one class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Outputs, ScoreKind
from onnxplain.core.errors import ScoreError

# If a model returns probabilities, smaller ones than this are rounding noise.
SMALLEST_PROBABILITY = 1e-7
RAW: tuple[ScoreKind, ...] = ("raw", "contrast")  # of the logits as the model computes them
RIVALS = 3  # classes that `contrast` compares the target with
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
    kind : {'probability', 'log-odds', 'logit', 'raw', 'contrast'}
        Log-odds are ``z_t - logsumexp(z_others)``, computed in float64, and from the logits if
        the model returns them: close to 1, log-odds still tell scores apart whose
        probabilities are equal after rounding. If the model returns probabilities, the logit
        is their logarithm. Raw is the logit itself, in front of the model's softmax or sigmoid,
        and contrast is the raw score less that of similar classes (see `contrast_scores`).

    Returns
    -------
    scores : (N,) ndarray of float64

    Raises
    ------
    ScoreError
        If the score is one of the logits and `raw` holds probabilities.
    """
    if kind in RAW and outputs == "probabilities":
        raise ScoreError(
            f"the score {kind!r} is one of the logits, and the classifier returns probabilities; "
            f"choose the score probability, logit or log-odds"
        )
    if kind == "contrast":
        return contrast_scores(raw, target)
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


def contrast_scores(logits: NDArray[np.floating], target: int) -> NDArray[np.float64]:
    """Compute by how much the target's logit exceeds those of the most similar classes [1]_.

    It is ``sum_k p_k (z_t - z_k) / sum_k p_k`` over the three classes k whose logits are
    nearest to the target's, or over all others if there are fewer; p is the softmax.

    References
    ----------
    .. [1] Zhang et al., Finer-CAM: Spotting the difference reveals finer details for visual
       explanation, CVPR 2025, :arXiv:`2501.11309`
    """
    z = logits.astype(np.float64)
    own = z[:, [target]]
    distance = np.abs(z - own)
    distance[:, target] = np.inf
    rivals = np.argsort(distance, axis=1, kind="stable")[:, : min(RIVALS, z.shape[1] - 1)]
    p = np.take_along_axis(to_probabilities(z, "logits"), rivals, axis=1)
    gaps = own - np.take_along_axis(z, rivals, axis=1)
    result: NDArray[np.float64] = (p * gaps).sum(axis=1) / p.sum(axis=1)
    return result
