"""From the raw outputs of a model to the score of one class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Outputs, ScoreKind
from onnxplain.core.errors import ScoreError

# If a model returns probabilities, smaller ones than this are rounding noise.
SMALLEST_PROBABILITY = 1e-7
RAW: tuple[ScoreKind, ...] = ("raw", "contrast")  # of the logits as the model computes them
NO_CONTRAST = (
    "the score 'contrast' compares classes that exclude each other, and these are independent "
    "labels; choose the score raw"
)
RIVALS = 3  # classes that `contrast` compares the target with
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
    kind : {'probability', 'log-odds', 'logit', 'raw', 'contrast'}
        Log-odds are ``z_t - logsumexp(z_others)``, computed in float64, and from the logits if
        the model returns them: close to 1, log-odds still tell scores apart whose
        probabilities are equal after rounding. If the model returns probabilities, the logit
        is their logarithm. Of an independent label, the log-odds are those of having it against
        not having it, which is its logit: ``z_t``, or ``log p_t - log(1 - p_t)``. Raw is the
        logit itself, in front of the model's softmax or sigmoid, and contrast is the raw score
        less that of similar classes (see `contrast_scores`).

    Returns
    -------
    scores : (N,) ndarray of float64

    Raises
    ------
    ScoreError
        If the score is one of the logits and `raw` holds probabilities, or contrast is asked
        of independent labels.
    """
    _check_kind(outputs, kind)
    if kind == "contrast":
        return contrast_scores(raw, target)
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
        As in `compute_target_scores`. Probabilities that it clips have no slope, nor has the
        choice of the classes that ``contrast`` compares.

    Returns
    -------
    slopes : (N, K) ndarray of float64

    Examples
    --------
    >>> zero, target = np.zeros((1, 2)), np.array([1])
    >>> differentiate_target_scores(zero, target, outputs="logits", kind="probability")
    array([[-0.25,  0.25]])
    """
    _check_kind(outputs, kind)
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
        elif kind == "contrast":
            rivals, weights = _weigh_rivals(wide, targets)
            z = np.take_along_axis(wide, rivals, axis=1)
            mean = (weights * z).sum(axis=1, keepdims=True)
            np.put_along_axis(slopes, rivals, -weights * (1 + z - mean), axis=1)
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
    rivals, weights = _weigh_rivals(z, np.full(len(z), target))
    result: NDArray[np.float64] = z[:, target] - (
        weights * np.take_along_axis(z, rivals, axis=1)
    ).sum(axis=1)
    return result


def _weigh_rivals(
    z: NDArray[np.float64], targets: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the classes (N, rivals) nearest to each row's target, and weights that sum to 1."""
    rows = np.arange(len(z))
    distance = np.abs(z - z[rows, targets][:, None])
    distance[rows, targets] = np.inf
    rivals = np.argsort(distance, axis=1, kind="stable")[:, : min(RIVALS, z.shape[1] - 1)]
    return rivals, to_probabilities(np.take_along_axis(z, rivals, axis=1), "logits")


def _check_kind(outputs: Outputs, kind: ScoreKind) -> None:
    """Raise if a score cannot be computed from such outputs."""
    if kind in RAW and outputs in ("probabilities", "multilabel-probabilities"):
        raise ScoreError(
            f"the score {kind!r} is one of the logits, and the classifier returns probabilities; "
            f"choose the score probability, logit or log-odds"
        )
    if kind == "contrast" and is_multilabel(outputs):
        raise ScoreError(NO_CONTRAST)
