"""From the raw outputs of a model to the score of one class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Outputs, ScoreKind

# If a model returns probabilities, smaller ones than this are rounding noise.
SMALLEST_PROBABILITY = 1e-7
SLACK = 0.01  # how far float16 or quantisation may round probabilities out of [0, 1]
SUM_SLACK = 0.15  # and the sum of a thousand quantised ones away from 1


def is_multilabel(outputs: Outputs) -> bool:
    """Return whether the classes are independent labels: an image may have several, or none."""
    return outputs in ("multilabel-logits", "multilabel-probabilities")


def is_predicted(probabilities: NDArray[np.floating], target: int, *, multilabel: bool) -> bool:
    """Return whether a class is predicted by probabilities (K,).

    Of classes that exclude each other, it is the most probable one; of independent labels,
    every label that is more likely than not.
    """
    if multilabel:
        return bool(probabilities[target] > 0.5)
    return int(probabilities.argmax()) == target


def to_probabilities(raw: NDArray[np.floating], outputs: Outputs) -> NDArray[np.float64]:
    """Turn raw outputs (N, K) into class probabilities (N, K).

    They sum to 1 if the classes exclude each other; independent labels have any sum.
    """
    wide = raw.astype(np.float64)
    if outputs in ("probabilities", "multilabel-probabilities"):
        return wide
    if outputs == "multilabel-logits":
        sigmoid: NDArray[np.float64] = np.exp(-np.logaddexp(0, -wide))  # exact in both tails
        return sigmoid
    exp = np.exp(wide - wide.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = exp / exp.sum(axis=1, keepdims=True)
    return result


def are_probabilities(values: NDArray[np.floating]) -> bool:
    """Return whether all values lie in [0, 1], up to rounding; False if any is NaN."""
    return bool(values.min() >= -SLACK and values.max() <= 1 + SLACK)


def find_fault(raw: NDArray[np.floating], outputs: Outputs) -> str | None:
    """Return what is wrong with raw outputs (N, K) that are said to be probabilities, if anything.

    They lie in [0, 1]; those of classes that exclude each other also have a sum of at most 1,
    which is less where some of the classes are left out.
    """
    if outputs in ("logits", "multilabel-logits"):
        return None
    if not are_probabilities(raw):
        return (
            f"the classifier's probabilities lie in [{raw.min():.4g}, {raw.max():.4g}]; they are "
            f"logits, or a sigmoid or softmax is missing from the model; say what the scores are "
            f"with --head, or with outputs= of from_callable"
        )
    total = raw.sum(axis=1, dtype=np.float64).max()
    slack = max(SUM_SLACK, raw.shape[1] / 510)  # where 8 bits round every class up by half a step
    if outputs == "probabilities" and total > 1 + slack:
        return (
            f"the classifier's probabilities of one image sum to {total:.4g}, and those of classes "
            f"that exclude each other to 1; if the classes are independent labels, say so with "
            f"--head multilabel-probabilities, or with outputs= of from_callable"
        )
    return None


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
    outputs : {'logits', 'probabilities', 'multilabel-logits', 'multilabel-probabilities'}
        What `raw` holds.
    kind : {'probability', 'log-odds', 'logit'}
        Log-odds are ``z_t - logsumexp(z_others)``, computed in float64, and from the logits if
        the model returns them: close to 1, log-odds still tell scores apart whose
        probabilities are equal after rounding. If the model returns probabilities, the logit
        is their logarithm. Of an independent label, the log-odds are those of having it against
        not having it, which is its logit: ``z_t``, or ``log p_t - log(1 - p_t)``.

    Returns
    -------
    scores : (N,) ndarray of float64
    """
    if kind == "probability":
        return to_probabilities(raw, outputs)[:, target]
    wide = raw.astype(np.float64)
    scores: NDArray[np.float64] = wide[:, target]
    if outputs in ("probabilities", "multilabel-probabilities"):
        scores = np.clip(scores, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        against = kind == "log-odds" or is_multilabel(outputs)
        scores = np.log(scores) - (np.log1p(-scores) if against else 0.0)
    elif kind == "log-odds" and outputs == "logits":
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
    elif outputs == "multilabel-logits":
        if kind == "probability":
            p = to_probabilities(wide, outputs)
            slopes *= p * (1 - p)
    elif kind != "probability":
        p = wide[rows, targets]
        inside = (p > SMALLEST_PROBABILITY) & (p < 1 - SMALLEST_PROBABILITY)
        p = np.where(inside, p, 0.5)
        against = kind == "log-odds" or is_multilabel(outputs)
        slopes[rows, targets] = np.where(inside, 1 / (p * (1 - p)) if against else 1 / p, 0.0)
    return slopes
