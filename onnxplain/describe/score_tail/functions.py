"""What functions of single numbers or of rows, and layers with weights, make of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping

from onnx import NodeProto

from onnxplain.describe.score_tail.tail import Reader, Tail
from onnxplain.describe.score_tail.values import (
    BENT,
    DISTRIBUTION,
    LABELS,
    LOGARITHMS_OF_LABELS,
    LOGITS,
    SOFTMAX_OF_ANOTHER_AXIS,
    TOP_VALUES,
    UNIT,
    Values,
)
from onnxplain.graph.nodes import read_attributes

WEIGHTED = {  # whatever they are given, they return values of any size
    "Conv",
    "FusedMatMul",
    "Gemm",
    "MatMul",
    "QGemm",
    "QLinearConv",
    "QLinearMatMul",
}
SIGMOIDS = {"Sigmoid", "QLinearSigmoid", "HardSigmoid"}
SOFTMAXES = {"Softmax", "QLinearSoftmax"}
NOT_NEGATIVE = {"Abs", "Exp", "Relu", "Softplus", *SIGMOIDS, *SOFTMAXES}
# Functions that neither a softmax nor a sigmoid makes probabilities of, as a rule.
BENDING = {"Abs", "Cos", "Erf", "Pow", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh"}
MOST_ROUNDED = 0.02  # of the largest probability, by which a rounding may change it


def read_weighted(tail: Tail, node: NodeProto) -> Values:
    """Read the output of a layer with weights."""
    return LOGITS


def read_bending(tail: Tail, node: NodeProto) -> Values:
    """Read the result of a function whose meaning is not known."""
    return BENT


def read_sigmoid(tail: Tail, node: NodeProto) -> Values | None:
    """Read a sigmoid of each score."""
    return TOP_VALUES if tail.read(node.input[0]) == TOP_VALUES else LABELS


def read_softmax(tail: Tail, node: NodeProto) -> Values | None:
    """Read a softmax, which may be one of the largest scores only."""
    return TOP_VALUES if tail.read(node.input[0]) == TOP_VALUES else _judge_axis(tail, node)


def _judge_axis(tail: Tail, node: NodeProto) -> Values | None:
    """Read a softmax by its axis: at batch 1, it must run over all the classes of the image."""
    attributes = read_attributes(node)
    opset = attributes.get("opset", tail.shapes.opsets.get("", 1))
    axis = attributes.get("axis", -1 if opset >= 13 else 1)
    dims = tail.shapes.dims(node.input[0])
    if dims is None or not -len(dims) <= axis < len(dims):
        return None
    if len(dims) == 2 and axis % 2 == 1:
        return DISTRIBUTION
    if None in dims:
        return None
    sizes = [dim or 0 for dim in dims]
    # Before opset 13, a softmax runs over all axes from the given one on.
    over = sizes[axis % len(dims)] if opset >= 13 else math.prod(sizes[axis % len(dims) :])
    if over == 1:
        return SOFTMAX_OF_ANOTHER_AXIS
    return DISTRIBUTION if tail.classes in (None, over) else None


def read_log_softmax(tail: Tail, node: NodeProto) -> Values | None:
    """Read logarithms of probabilities, whose softmax are the probabilities."""
    values = _judge_axis(tail, node)
    return LOGITS if values == DISTRIBUTION else values


def read_exp(tail: Tail, node: NodeProto) -> Values:
    """Read the exponential of logarithms of probabilities."""
    inner = tail.find_origin(node.input[0])
    if inner is None or inner.op_type != "LogSoftmax":
        return BENT
    return _judge_axis(tail, inner) or BENT


def read_logarithm(tail: Tail, node: NodeProto) -> Values:
    """Read the logarithm of probabilities, whose softmax are the probabilities.

    Those of sigmoids are turned back neither by a softmax nor by a sigmoid.
    """
    values = tail.read(node.input[0])
    logarithms = {"distribution": LOGITS, "labels": LOGARITHMS_OF_LABELS}
    return BENT if values is None else logarithms.get(values.kind, BENT)


def read_negation(tail: Tail, node: NodeProto) -> Values:
    """Read ``-softplus(-z)``, which is the logarithm of a sigmoid, or other negated scores.

    Negated logarithms of probabilities are losses, of which the least is that of the best class.
    """
    inner = tail.find_origin(node.input[0])
    if inner is not None and inner.op_type == "Softplus":
        return LOGARITHMS_OF_LABELS
    if inner is not None and inner.op_type in ("Log", "LogSoftmax"):
        return BENT
    values = tail.read(node.input[0])
    return values if values and values.are_logits else BENT


def read_rounding(tail: Tail, node: NodeProto) -> Values | None:
    """Read probabilities that are rounded to parts of a hundred or less."""
    values = tail.read(node.input[0])
    if values is None or not values.are_probabilities:
        return None
    return values if MOST_ROUNDED * values.total >= 1 else None


def read_normaliser(tail: Tail, node: NodeProto) -> Values | None:
    """Read probabilities that are divided by their sum."""
    values = tail.read(node.input[0])
    by_sum = read_attributes(node).get("norm", "MAX") == "L1"
    return DISTRIBUTION if by_sum and values and values.are_probabilities else None


def read_lp_normalisation(tail: Tail, node: NodeProto) -> Values | None:
    """Read numbers that are not negative over their sum, which may be 0."""
    attributes, inner = read_attributes(node), tail.find_origin(node.input[0])
    over_classes = tail.has_classes_at(node.input[0], attributes.get("axis", -1))
    if attributes.get("p", 2) != 1 or not over_classes or inner is None:
        return None
    return UNIT if inner.op_type in NOT_NEGATIVE else None


def read_linear_classifier(tail: Tail, node: NodeProto) -> Values | None:
    """Read the scores of ``ai.onnx.ml``'s linear classifier."""
    transform = read_attributes(node).get("post_transform", "NONE")
    return {"NONE": LOGITS, "SOFTMAX": DISTRIBUTION, "LOGISTIC": LABELS}.get(transform)


READERS: Mapping[str, Reader] = {
    **dict.fromkeys(WEIGHTED, read_weighted),
    **dict.fromkeys(BENDING, read_bending),
    **dict.fromkeys(SIGMOIDS, read_sigmoid),
    **dict.fromkeys(SOFTMAXES, read_softmax),
    "LogSoftmax": read_log_softmax,
    "Exp": read_exp,
    "Log": read_logarithm,
    "Neg": read_negation,
    "Ceil": read_rounding,
    "Floor": read_rounding,
    "Round": read_rounding,
    "Normalizer": read_normaliser,
    "LpNormalization": read_lp_normalisation,
    "LinearClassifier": read_linear_classifier,
}
