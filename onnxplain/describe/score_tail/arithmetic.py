"""What sums, differences, products and quotients make of scores.

A softmax and a sigmoid may be written out in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from onnxplain.describe.score_tail.tail import Reader, Tail, is_tiny
from onnxplain.describe.score_tail.values import (
    BENT,
    DISTRIBUTION,
    LABELS,
    LOGITS,
    UNIT,
    Values,
)


def read_addition(tail: Tail, node: NodeProto) -> Values | None:
    """Read a sum: of two kinds of probabilities, or of scores and constants."""
    constants = {name: tail.get_constant(name) for name in node.input}
    summands = [tail.read(name) for name in node.input if constants[name] is None]
    values = [value for value in summands if value is not None]
    if not values or len(values) < len(summands):
        return None
    if all(value.are_logits for value in values):
        return LOGITS
    given = [constant for constant in constants.values() if constant is not None]
    if not all(value.are_probabilities for value in values) or not all(map(is_tiny, given)):
        return None
    kinds = {value.kind for value in values}
    return Values(kinds.pop() if len(kinds) == 1 else "unit", sum(value.total for value in values))


def read_mean(tail: Tail, node: NodeProto) -> Values | None:
    """Read a mean of several tensors."""
    values = read_addition(tail, node)
    return values and replace(values, total=values.total / len(node.input))


def read_subtraction(tail: Tail, node: NodeProto) -> Values | None:
    """Read ``1 - p``, or scores less a constant."""
    left, right = node.input
    if tail.is_one(left):
        return _read_complement(tail.read(right))
    if tail.get_constant(right) is None:
        return None
    values = tail.read(left)
    return values if values and values.are_logits else None


def _read_complement(values: Values | None) -> Values | None:
    if values is None or not values.are_probabilities:
        return values
    if not values.have_no_factor:
        return None
    return LABELS if values.kind == "labels" else UNIT


def read_product(tail: Tail, node: NodeProto) -> Values | None:
    """Read scores times a constant, or ``exp(z) * (1 / sum(exp(z)))``."""
    for name, other in (node.input, reversed(node.input)):
        factor = tail.get_constant(other)
        if factor is not None:
            return _scale(tail.read(name), factor)
        inverse = tail.get_maker(other)
        if inverse is not None and inverse.op_type == "Reciprocal":
            return _read_written_softmax(tail, name, inverse.input[0])
    return None


def read_division(tail: Tail, node: NodeProto) -> Values | None:
    """Read scores over a constant, ``exp(z) / sum(exp(z))`` or ``1 / (1 + exp(-z))``."""
    dividend, divisor = node.input
    if tail.is_one(dividend):
        return _read_written_sigmoid(tail, divisor)
    constant = tail.get_constant(divisor)
    if constant is None:
        return _read_written_softmax(tail, dividend, divisor)
    if (constant == 0).any():
        return None
    return _scale(tail.read(dividend), 1 / constant.astype(np.float64))


def read_reciprocal(tail: Tail, node: NodeProto) -> Values:
    """Read ``1 / (1 + exp(-z))``."""
    return _read_written_sigmoid(tail, node.input[0]) or BENT


def _scale(values: Values | None, factor: NDArray[Any]) -> Values | None:
    if values is None or values.are_logits:
        return values
    if not values.are_probabilities or factor.size != 1 or factor.item() <= 0:
        return None
    return replace(values, total=values.total * float(factor.item()))


def _read_written_softmax(tail: Tail, dividend: str, divisor: str) -> Values | None:
    """Read exponentials over their sum."""
    top, bottom = tail.find_origin(dividend), tail.find_origin(divisor)
    while bottom is not None and bottom.op_type in ("Add", "Max", "Clip"):  # of an eps
        bottom = tail.find_origin(bottom.input[0])
    if top is None or bottom is None or top.op_type != "Exp":
        return None
    summed = bottom.op_type in ("ReduceSum", "ReduceL1")
    same = summed and tail.find_origin(bottom.input[0]) is top
    if not same or tail.shapes.count(bottom.output[0]) != 1:  # at batch 1: over the classes
        return None
    return DISTRIBUTION


def _read_written_sigmoid(tail: Tail, divisor: str) -> Values | None:
    """Read ``1 / (1 + exp(-z))`` from its divisor."""
    addition = tail.find_origin(divisor)
    if addition is None or addition.op_type != "Add":
        return None
    for left, right in (addition.input, reversed(addition.input)):
        exp = tail.find_origin(right)
        if tail.is_one(left) and exp is not None and exp.op_type == "Exp":
            return LABELS
    return None


READERS: Mapping[str, Reader] = {
    "Add": read_addition,
    "Sum": read_addition,
    "Mean": read_mean,
    "Sub": read_subtraction,
    "Mul": read_product,
    "Div": read_division,
    "Reciprocal": read_reciprocal,
}
