"""Activations in relevance propagation: an activation f hands on ``g f(a) / a``.

So the relevance ``a g`` is that of f(a). Where f is a product ``a h(a)``, the factor h is written
instead of a quotient, whose sign and size would be wrong near 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from onnxplain.gradient.node import Node
from onnxplain.gradient.rulesets.spreading import stabilise
from onnxplain.gradient.tape import Tape


def divide(tape: Tape, node: Node) -> str:
    """Write ``f(a) / a``; the operand that is a constant, if any, is not a."""
    (a,) = (name for name in node.inputs if name and tape.wants(name))
    return tape.div(node.y, stabilise(tape, a))


def gate_gelu(tape: Tape, node: Node) -> str:
    """Write the share of the normal distribution below a, or its approximation by tanh."""
    a, one = node.x, tape.real(1)
    if node.attributes.get("approximate", "none") == "tanh":
        cubic = tape.add(one, tape.scale(tape.mul(a, a), 0.044715))
        u = tape.mul(tape.scale(a, math.sqrt(2 / math.pi)), cubic)
        return tape.scale(tape.add(one, tape.op("Tanh", u)), 0.5)
    return tape.scale(tape.add(one, tape.op("Erf", tape.scale(a, 1 / math.sqrt(2)))), 0.5)


def gate_hard_swish(tape: Tape, node: Node) -> str:
    """Write ``clip(a / 6 + 1/2, 0, 1)``."""
    return tape.op("HardSigmoid", node.x, alpha=1 / 6, beta=0.5)


def gate_mish(tape: Tape, node: Node) -> str:
    """Write ``tanh(softplus(a))``."""
    return tape.op("Tanh", tape.op("Softplus", node.x))


def gate_swish(tape: Tape, node: Node) -> str:
    """Write ``sigmoid(alpha a)``."""
    return tape.op("Sigmoid", tape.scale(node.x, node.attributes.get("alpha", 1.0)))


# Operators of one value and constants; not those that are straight on both sides of 0, whose
# slope is f(a) / a anyway.
RATIOS: Mapping[str, Callable[[Tape, Node], str]] = {
    **dict.fromkeys(("Celu", "Clip", "Elu", "Erf", "Exp", "HardSigmoid", "Log", "Pow"), divide),
    **dict.fromkeys(("Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Tanh"), divide),
    **dict.fromkeys(("Max", "Min"), divide),
    "Gelu": gate_gelu,
    "HardSwish": gate_hard_swish,
    "Mish": gate_mish,
    "Swish": gate_swish,
}
