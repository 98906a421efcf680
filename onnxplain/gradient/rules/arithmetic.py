"""Operators of several tensors that broadcast: gradients are summed over repetitions."""

# ruff: noqa: D103 (a rule is described by the operator it is named after)

from __future__ import annotations

from collections.abc import Callable

from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.rules.activation import complement, gauss_gate, mask_positive
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule


def unbroadcast_wanted(tape: Tape, node: Node, gradient: Callable[[str], str]) -> Grads:
    """Write the gradients of the inputs that need one, summed over broadcast axes."""
    shape = tape.shape(node.y)
    return [
        tape.unbroadcast(gradient(name), shape, name) if tape.wants(name) else None
        for name in node.inputs
    ]


@first_output_rule
def add(tape: Tape, node: Node, g: str) -> Grads:
    return unbroadcast_wanted(tape, node, lambda name: g)


@first_output_rule
def sub(tape: Tape, node: Node, g: str) -> Grads:
    a, b = add(tape, node, [g])
    return [a, tape.neg(b) if b else None]


@first_output_rule
def mul(tape: Tape, node: Node, g: str) -> Grads:
    a, b = node.inputs
    shape = tape.shape(node.y)
    for x, gate in ((a, b), (b, a)):
        slope = _differentiate_gated(tape, node, x, gate)
        if slope:
            grad = tape.unbroadcast(tape.mul(g, slope), shape, x)
            return [grad if name == x else None for name in node.inputs]
    return [
        tape.unbroadcast(tape.mul(g, other), shape, name) if tape.wants(name) else None
        for name, other in ((a, b), (b, a))
    ]


def _differentiate_gated(tape: Tape, node: Node, x: str, gate: str) -> str | None:
    """Write the whole derivative of ``x * gate(x)`` for gates that exporters split into nodes.

    It takes four passes over memory; rule by rule it would take six (swish) or ten (GELU).
    """
    maker = tape.producer(gate)
    if maker is None or not tape.wants(x) or x == gate:
        return None
    if maker.operator == "Sigmoid" and maker.x == x:
        return tape.add(gate, tape.mul(node.y, complement(tape, gate)))
    if maker.operator == "Add":
        for constant, erf in (maker.inputs, maker.inputs[::-1]):
            u = _find_multiple_in_erf(tape, x, erf)
            if u and _read_number(tape, constant) == 1:
                return gauss_gate(tape, u, gate)
    return None


def _find_multiple_in_erf(tape: Tape, x: str, erf: str) -> str | None:
    """Return u if `erf` is ``Erf(u)`` and u is a constant multiple of `x`, else None."""
    maker = tape.producer(erf)
    if maker is None or maker.operator != "Erf":
        return None
    scaled = tape.producer(maker.x)
    if scaled is None or scaled.operator not in ("Div", "Mul") or x not in scaled.inputs:
        return None
    factor = scaled.inputs[1 - scaled.inputs.index(x)]
    is_multiple = scaled.operator == "Mul" or scaled.x == x
    return maker.x if is_multiple and _read_number(tape, factor) is not None else None


def _read_number(tape: Tape, name: str) -> float | None:
    """Return a constant of one element; None for other tensors."""
    value = tape.constant(name)
    return value.item() if value is not None and value.size == 1 else None


@first_output_rule
def div(tape: Tape, node: Node, g: str) -> Grads:
    a, b = node.inputs
    quotient, shape = tape.div(g, b), tape.shape(node.y)
    da = tape.unbroadcast(quotient, shape, a) if tape.wants(a) else None
    if not tape.wants(b):
        return [da, None]
    return [da, tape.unbroadcast(tape.neg(tape.mul(quotient, node.y)), shape, b)]


@first_output_rule
def power(tape: Tape, node: Node, g: str) -> Grads:
    x, exponent = node.inputs
    if tape.wants(exponent):
        raise Refusal("its exponent depends on the image")
    value = tape.constant(exponent)
    if value is not None and value.size == 1 and value.item() == 2:
        slope = tape.scale(x, 2)
    elif value is not None:  # in the graph's type, whatever the type of the exponent
        slope = tape.mul(tape.real(value), tape.op("Pow", x, tape.real(value - 1)))
    else:
        raise Refusal("its exponent is not a small constant")
    return [tape.unbroadcast(tape.mul(g, slope), tape.shape(node.y), x), None]


@first_output_rule
def where(tape: Tape, node: Node, g: str) -> Grads:
    condition, a, b = node.inputs
    shape = tape.shape(node.y)
    grads: list[str | None] = [None]
    for name, side in ((a, condition), (b, tape.op("Not", condition))):
        grad = None
        if tape.wants(name):
            grad = tape.unbroadcast(tape.mul(g, tape.mask(side)), shape, name)
        grads.append(grad)
    return grads


@first_output_rule
def extreme(tape: Tape, node: Node, g: str) -> Grads:
    """Differentiate Max and Min; tied inputs share the gradient."""
    masks = {name: tape.mask(tape.op("Equal", name, node.y)) for name in node.inputs}
    share = tape.div(g, tape.add(*(masks[name] for name in node.inputs)))
    return unbroadcast_wanted(tape, node, lambda name: tape.mul(share, masks[name]))


@first_output_rule
def mean(tape: Tape, node: Node, g: str) -> Grads:
    return unbroadcast_wanted(tape, node, lambda name: tape.scale(g, 1 / len(node.inputs)))


@first_output_rule
def prelu(tape: Tape, node: Node, g: str) -> Grads:
    x, slope = node.inputs
    if tape.wants(slope):
        raise Refusal("its slope depends on the image")
    mask = mask_positive(tape, x)
    return [tape.mul(g, tape.add(mask, tape.mul(complement(tape, mask), slope))), None]


RULES: dict[str, Rule] = {
    "Add": add,
    "Div": div,
    "Max": extreme,
    "Mean": mean,
    "Min": extreme,
    "Mul": mul,
    "PRelu": prelu,
    "Pow": power,
    "Sub": sub,
    "Sum": add,
    "Where": where,
}
