"""Operators that act on every element alone: gradient = g times the derivative.

Masks are computed from the output where it says as much as the input, so that the runtime can
still fuse the activation with the node before it. At a kink the derivative is that of the
flat side (0 for Relu at 0), as in PyTorch.
"""

# ruff: noqa: D103 (a rule is described by the operator it is named after)

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule

Derivative: TypeAlias = Callable[[Tape, Node], str]

# Attributes are float32, so a bound and its product with STEEP must be float32 too.
STEEP = 2.0**100
LARGEST = 2.0**26


def make_elementwise_rule(derivative: Derivative) -> Rule:
    """Make the rule of an elementwise operator from its derivative."""

    @first_output_rule
    def rule(tape: Tape, node: Node, g: str) -> Grads:
        return [tape.mul(g, derivative(tape, node))]

    return rule


def mask_above(tape: Tape, a: str, bound: float) -> str:
    """Write 1 where ``a > bound``, else 0 (a value between them within 2^-100 of the bound).

    It is a single operator, which the CPU provider computes in the blocked layout of its
    convolutions, unlike comparisons and casts. Products with a power of two are exact.
    """
    return tape.op("HardSigmoid", a, alpha=STEEP, beta=-STEEP * bound)


def mask_below(tape: Tape, a: str, bound: float) -> str:
    """Write 1 where ``a < bound``, else 0."""
    return tape.op("HardSigmoid", a, alpha=-STEEP, beta=STEEP * bound)


def mask_positive(tape: Tape, a: str) -> str:
    """Write 1 where ``a > 0``, else 0."""
    return mask_above(tape, a, 0)


def mask_unit_interval(tape: Tape, a: str) -> str:
    """Write 1 where ``0 < a < 1``, else 0."""
    return tape.mul(mask_above(tape, a, 0), mask_below(tape, a, 1))


def complement(tape: Tape, a: str) -> str:
    """Write ``1 - a`` for an `a` between 0 and 1, also in the blocked layout."""
    return tape.op("HardSigmoid", a, alpha=-1.0, beta=1.0)


def select(tape: Tape, mask: str, low: float, high: float) -> str:
    """Write `low` where a mask is 0 and `high` where it is 1.

    If both are in [0, 1], it is computed in the blocked layout, where a sum above 1 is clipped,
    so that 1 comes out exactly.
    """
    if 0 <= low <= high <= 1:
        return tape.op("HardSigmoid", mask, alpha=1.0 if high == 1 else high - low, beta=float(low))
    return tape.add(tape.scale(mask, high - low), tape.real(low))


def relu(tape: Tape, node: Node) -> str:
    return mask_positive(tape, node.y)


def sigmoid(tape: Tape, node: Node) -> str:
    return tape.mul(node.y, complement(tape, node.y))


def tanh(tape: Tape, node: Node) -> str:
    return tape.sub(tape.real(1), tape.mul(node.y, node.y))


def leaky_relu(tape: Tape, node: Node) -> str:
    """Take the sign from the output, which has that of the input unless the slope is negative."""
    alpha = node.attributes.get("alpha", 0.01)
    return select(tape, mask_positive(tape, node.y if alpha >= 0 else node.x), alpha, 1)


def _exponential(tape: Tape, node: Node, alpha: float, gamma: float) -> str:
    """Write the derivative of ``gamma * (x if x > 0 else alpha * (exp(x) - 1))``.

    It is computed from the output: below 0 it is ``y + gamma * alpha``.
    """
    mask = mask_positive(tape, node.x)
    left = tape.add(node.y, tape.real(gamma * alpha))
    left = tape.mul(complement(tape, mask), left)
    return tape.add(tape.scale(mask, gamma), left)


def elu(tape: Tape, node: Node) -> str:
    return _exponential(tape, node, node.attributes.get("alpha", 1.0), 1.0)


def selu(tape: Tape, node: Node) -> str:
    alpha = node.attributes.get("alpha", 1.6732632423543772)
    return _exponential(tape, node, alpha, node.attributes.get("gamma", 1.0507009873554805))


def celu(tape: Tape, node: Node) -> str:
    """Write 1 above 0, ``1 + y / alpha`` below: ``y = alpha * (exp(x / alpha) - 1)`` there."""
    left = tape.op("Min", node.y, tape.real(0))
    return tape.add(tape.scale(left, 1 / node.attributes.get("alpha", 1.0)), tape.real(1))


def hard_sigmoid(tape: Tape, node: Node) -> str:
    return select(tape, mask_unit_interval(tape, node.y), 0, node.attributes.get("alpha", 0.2))


def hard_swish(tape: Tape, node: Node) -> str:
    """Write ``h + x h'`` for ``y = x * h(x)`` with ``h = clip(x / 6 + 1/2, 0, 1)``."""
    h = tape.op("HardSigmoid", node.x, alpha=1 / 6, beta=0.5)
    return tape.add(h, tape.mul(node.x, select(tape, mask_unit_interval(tape, h), 0, 1 / 6)))


def swish(tape: Tape, node: Node) -> str:
    """Write ``s + alpha y (1 - s)`` for ``y = x * s``, ``s = sigmoid(alpha x)``."""
    alpha = node.attributes.get("alpha", 1.0)
    s = tape.op("Sigmoid", tape.scale(node.x, alpha))
    return tape.add(s, tape.scale(tape.mul(node.y, complement(tape, s)), alpha))


def mish(tape: Tape, node: Node) -> str:
    """Write ``t + x sigmoid(x) (1 - t^2)`` for ``y = x * t``, ``t = tanh(softplus(x))``."""
    t = tape.op("Tanh", tape.op("Softplus", node.x))
    slope = tape.mul(tape.op("Sigmoid", node.x), tape.sub(tape.real(1), tape.mul(t, t)))
    return tape.add(t, tape.mul(node.x, slope))


def gelu(tape: Tape, node: Node) -> str:
    if node.attributes.get("approximate", "none") == "tanh":
        return _tanh_gelu(tape, node.x)
    u = tape.scale(node.x, 1 / math.sqrt(2))
    return tape.scale(gauss_gate(tape, u, tape.add(tape.real(1), tape.op("Erf", u))), 0.5)


def gauss_gate(tape: Tape, u: str, gate: str) -> str:
    """Write the derivative of ``x * gate``, ``gate = 1 + erf(u)``, u a multiple of x.

    It is ``gate + u 2/sqrt(pi) exp(-u^2)``; the factor is moved into the exponent.
    """
    exponent = tape.sub(tape.real(math.log(2 / math.sqrt(math.pi))), tape.mul(u, u))
    return tape.add(gate, tape.mul(u, tape.op("Exp", exponent)))


def _tanh_gelu(tape: Tape, x: str) -> str:
    """Write the derivative of ``x (1 + t) / 2`` with ``t = tanh(u)``, ``u = k (x + c x^3)``."""
    k, c = math.sqrt(2 / math.pi), 0.044715
    unit, square = tape.real(1), tape.mul(x, x)
    t = tape.op("Tanh", tape.mul(tape.scale(x, k), tape.add(unit, tape.scale(square, c))))
    du = tape.scale(tape.add(unit, tape.scale(square, 3 * c)), k)
    slope = tape.mul(tape.sub(unit, tape.mul(t, t)), du)
    return tape.scale(tape.add(tape.add(unit, t), tape.mul(x, slope)), 0.5)


def erf(tape: Tape, node: Node) -> str:
    gauss = tape.op("Exp", tape.neg(tape.mul(node.x, node.x)))
    return tape.scale(gauss, 2 / math.sqrt(math.pi))


def softsign(tape: Tape, node: Node) -> str:
    root = tape.sub(tape.real(1), tape.op("Abs", node.y))  # 1 / (1 + |x|)
    return tape.mul(root, root)


def thresholded_relu(tape: Tape, node: Node) -> str:
    return mask_above(tape, node.x, node.attributes.get("alpha", 1.0))


@first_output_rule
def clip(tape: Tape, node: Node, g: str) -> Grads:
    """Take masks from the output: strict inequalities hold for it where they do for the input."""
    low, high = node.input(1), node.input(2)
    if tape.wants(low) or tape.wants(high):
        raise Refusal("its bounds depend on the image")
    masks = []
    if low:
        masks.append(_mask_side(tape, node.y, low, mask_above, "Greater"))
    if high:
        masks.append(_mask_side(tape, node.y, high, mask_below, "Less"))
    if not masks:
        return [g]
    return [tape.mul(g, masks[0] if len(masks) == 1 else tape.mul(*masks))]


def _mask_side(
    tape: Tape, y: str, bound: str, mask: Callable[[Tape, str, float], str], operator: str
) -> str:
    value = tape.constant(bound)
    if value is not None and abs(value.item()) <= LARGEST and np.float32(value) == value:
        return mask(tape, y, value.item())
    return tape.mask(tape.op(operator, y, bound))


@first_output_rule
def neg(tape: Tape, node: Node, g: str) -> Grads:
    return [tape.neg(g)]


@first_output_rule
def identity(tape: Tape, node: Node, g: str) -> Grads:
    """Pass the gradient on: Identity, and Dropout in a network that is not being trained."""
    return [g]


RULES: dict[str, Rule] = {
    "Abs": make_elementwise_rule(lambda tape, node: tape.op("Sign", node.x)),
    "Celu": make_elementwise_rule(celu),
    "Clip": clip,
    "Cos": make_elementwise_rule(lambda tape, node: tape.neg(tape.op("Sin", node.x))),
    "Dropout": identity,
    "Elu": make_elementwise_rule(elu),
    "Erf": make_elementwise_rule(erf),
    "Exp": make_elementwise_rule(lambda tape, node: node.y),
    "Gelu": make_elementwise_rule(gelu),
    "HardSigmoid": make_elementwise_rule(hard_sigmoid),
    "HardSwish": make_elementwise_rule(hard_swish),
    "Identity": identity,
    "LeakyRelu": make_elementwise_rule(leaky_relu),
    "Log": make_elementwise_rule(lambda tape, node: tape.op("Reciprocal", node.x)),
    "Mish": make_elementwise_rule(mish),
    "Neg": neg,
    "Reciprocal": make_elementwise_rule(lambda tape, node: tape.neg(tape.mul(node.y, node.y))),
    "Relu": make_elementwise_rule(relu),
    "Selu": make_elementwise_rule(selu),
    "Sigmoid": make_elementwise_rule(sigmoid),
    "Sin": make_elementwise_rule(lambda tape, node: tape.op("Cos", node.x)),
    "Softplus": make_elementwise_rule(lambda tape, node: tape.op("Sigmoid", node.x)),
    "Softsign": make_elementwise_rule(softsign),
    "Sqrt": make_elementwise_rule(lambda tape, node: tape.div(tape.real(0.5), node.y)),
    "Swish": make_elementwise_rule(swish),
    "Tanh": make_elementwise_rule(tanh),
    "ThresholdedRelu": make_elementwise_rule(thresholded_relu),
}
