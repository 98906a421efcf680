"""DeconvNet [1]_ and guided backpropagation [2]_: other rules at rectifiers.

At an activation y = f(a), the gradient g of y becomes ``g f'(a)``. DeconvNet passes ``g+`` on,
the positive part of g; guided backpropagation ``g+ f'(a)``. At a = 0 a rectifier has no slope.
Max-pooling keeps its switches, and of equal values the first, as in the ordinary gradient.

Both are defined for rectifiers. With ``extended``, other activations follow the same formulas;
gates, such as the sigmoid of squeeze-and-excitation, keep the ordinary gradient.

References
----------
.. [1] Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014,
   :arXiv:`1311.2901`
.. [2] Springenberg et al., Striving for simplicity: the all convolutional net, ICLR workshop
   2015, :arXiv:`1412.6806`
"""

from __future__ import annotations

from collections.abc import Callable

from onnxplain.gradient.node import Node, read_node
from onnxplain.gradient.refusal import GradientError
from onnxplain.gradient.rulesets.gates import compute_limit, find_gates
from onnxplain.gradient.rulesets.walk import Ground, Walk
from onnxplain.gradient.tape import Grads, Rule, Tape

RECTIFIERS = {"Clip", "Relu"}
SMOOTH = {
    *("Celu", "Elu", "Gelu", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Selu", "Softplus"),
    *("Swish", "ThresholdedRelu"),
}
# Makes the gradient of an activation's input from the positive part of that of its output.
PassOn = Callable[[Tape, Node, str], Grads]


def make_guided(ground: Ground, *, extended: bool = True) -> Walk:
    """Make the rules of guided backpropagation: ``g+ f'(a)``."""

    def pass_on(tape: Tape, node: Node, positive: str) -> Grads:
        return ground.rules[node.operator](tape, node, [positive])

    return _make_table(ground, pass_on, extended=extended)


def make_deconvnet(ground: Ground, *, extended: bool = True) -> Walk:
    """Make the rules of DeconvNet: ``g+``."""
    gates = find_gates(ground.region)

    def pass_on(tape: Tape, node: Node, positive: str) -> Grads:
        signal = gates.signals.get(node.y)
        if signal is None:
            return [positive, *[None] * (len(node.inputs) - 1)]
        # A product of a signal and its gate, of which the signal alone is passed.
        return [
            tape.scale(positive, compute_limit(signal, tape.constant))
            if name == signal.tensor
            else None
            for name in node.inputs
        ]

    return _make_table(ground, pass_on, extended=extended)


def _make_table(ground: Ground, pass_on: PassOn, *, extended: bool) -> Walk:
    rules = ground.rules
    gates = find_gates(ground.region)
    others = [
        node
        for node in map(read_node, ground.region.nodes)
        if node.y in gates.signals or (node.operator in SMOOTH and node.y not in gates.inside)
    ]
    if others and not extended:
        raise GradientError(
            f"node {others[0].name!r} ({others[0].operator}): the rules are defined for rectifiers "
            f"alone; choose extended=true to treat other activations in the same way"
        )

    def make_rule(operator: str) -> Rule:
        def apply(tape: Tape, node: Node, grads: Grads) -> Grads:
            is_activation = node.y in gates.signals or operator != "Mul"
            if grads[0] is None or node.y in gates.inside or not is_activation:
                return rules[operator](tape, node, grads)
            return pass_on(tape, node, tape.op("Relu", grads[0]))

        return apply

    changed = {name: make_rule(name) for name in (*RECTIFIERS, *SMOOTH, "Mul") if name in rules}
    kinds = {gates.signals[node.y].kind if node.y in gates.signals else node.operator
             for node in others}  # fmt: skip
    return Walk({**rules, **changed}, {"extended": sorted(kinds)})
