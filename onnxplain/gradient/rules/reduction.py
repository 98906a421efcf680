"""Operators that reduce axes: the gradient is spread back over them."""

# ruff: noqa: D103 (a rule is described by the operator it is named after)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from onnxplain.gradient.node import Node
from onnxplain.gradient.rules.activation import complement, mask_positive
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule


@dataclass(frozen=True)
class Reduced:
    """A reduction over axes; its output and gradient have the rank of the input."""

    axes: list[int]
    y: str
    g: str


Spread: TypeAlias = Callable[[Tape, Node, Reduced], str]


def make_reduce_rule(spread: Spread) -> Rule:
    """Make the rule of a Reduce operator from its gradient at equal ranks."""

    @first_output_rule
    def rule(tape: Tape, node: Node, g: str) -> Grads:
        axes, y = _read_axes(tape, node), node.y
        if not node.attributes.get("keepdims", 1):
            y, g = tape.unsqueeze(y, axes), tape.unsqueeze(g, axes)
        return [spread(tape, node, Reduced(axes, y, g))]

    return rule


def make_global_pool_rule(spread: Spread) -> Rule:
    """Make the rule of a global pooling from its gradient."""

    @first_output_rule
    def rule(tape: Tape, node: Node, g: str) -> Grads:
        axes = list(range(2, len(tape.shape(node.x))))
        return [spread(tape, node, Reduced(axes, node.y, g))]

    return rule


def _read_axes(tape: Tape, node: Node) -> list[int]:
    rank = len(tape.shape(node.x))
    given = node.attributes.get("axes")
    if node.input(1):
        given = tape.integers(node.input(1), "axes")
    if given:
        return sorted(int(axis) % rank for axis in given)
    return [] if node.attributes.get("noop_with_empty_axes", 0) else list(range(rank))


def total(tape: Tape, node: Node, to: Reduced) -> str:
    return tape.spread(to.g, node.x, to.axes)


def mean(tape: Tape, node: Node, to: Reduced) -> str:
    count = int(np.prod(tape.sizes(node.x, to.axes)))
    return tape.spread(to.g, node.x, to.axes, 1 / count)


def extreme(tape: Tape, node: Node, to: Reduced) -> str:
    """Write the gradient of the largest or smallest value, which ties share."""
    mask = tape.mask(tape.op("Equal", node.x, to.y))
    return tape.mul(mask, tape.div(to.g, tape.sum(mask, to.axes)))


def l1(tape: Tape, node: Node, to: Reduced) -> str:
    return tape.mul(tape.op("Sign", node.x), to.g)


def l2(tape: Tape, node: Node, to: Reduced) -> str:
    return tape.mul(node.x, tape.mul(to.g, invert_norm(tape, to.y)))


def invert_norm(tape: Tape, norm: str) -> str:
    """Write ``1 / norm``, and 0 for a norm of 0, where PyTorch also takes 0 as the slope."""
    mask = mask_positive(tape, norm)
    return tape.div(mask, tape.add(norm, complement(tape, mask)))


def sum_square(tape: Tape, node: Node, to: Reduced) -> str:
    return tape.mul(node.x, tape.scale(to.g, 2))


def log_sum(tape: Tape, node: Node, to: Reduced) -> str:
    return tape.spread(tape.div(to.g, tape.op("Exp", to.y)), node.x, to.axes)


def log_sum_exp(tape: Tape, node: Node, to: Reduced) -> str:
    """Write the gradient by the derivative, which is the softmax."""
    return tape.mul(tape.op("Exp", tape.sub(node.x, to.y)), to.g)


RULES: dict[str, Rule] = {
    "GlobalAveragePool": make_global_pool_rule(mean),
    "GlobalMaxPool": make_global_pool_rule(extreme),
    "ReduceL1": make_reduce_rule(l1),
    "ReduceL2": make_reduce_rule(l2),
    "ReduceLogSum": make_reduce_rule(log_sum),
    "ReduceLogSumExp": make_reduce_rule(log_sum_exp),
    "ReduceMax": make_reduce_rule(extreme),
    "ReduceMean": make_reduce_rule(mean),
    "ReduceMin": make_reduce_rule(extreme),
    "ReduceSum": make_reduce_rule(total),
    "ReduceSumSquare": make_reduce_rule(sum_square),
}
