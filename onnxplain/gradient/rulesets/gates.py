"""Gates: factors that a tensor is multiplied by, and activations that exporters write as products.

SiLU arrives as ``a * sigmoid(a)``, hard-swish as ``a * clip(a + 3, 0, 6) / 6``, GELU as
``a * (1 + erf(a / sqrt(2))) / 2``. In all of them a product joins a signal and a gate that
elementwise operators made of the same tensor. In squeeze-and-excitation the gate is made of
something else, and the product is no activation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, ValueInfoProto, helper
from onnx.reference import ReferenceEvaluator

from onnxplain.gradient.cuts import Region
from onnxplain.gradient.facts import Array

# Operators of one tensor and constants that act on every element alone.
UNARY = {
    *("Add", "Cast", "Clip", "Div", "Erf", "Exp", "HardSigmoid", "Identity", "Max", "Min", "Mul"),
    *("Neg", "Pow", "Reciprocal", "Relu", "Sigmoid", "Softplus", "Sub", "Sum", "Tanh"),
}
RESHAPING = {"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze", "Expand"}
SQUASHING = {"HardSigmoid", "Sigmoid", "Softmax", "Tanh"}
MULTIPLYING = {"Cast", "Div", "Identity", "Mul"}
NAMES = {"Erf": "Gelu", "HardSigmoid": "HardSwish", "Sigmoid": "Swish", "Softplus": "Mish"}
FAR = 1e4  # where every activation has reached its slope of 1
OPSETS = [helper.make_opsetid("", 18)]


@dataclass(frozen=True)
class Signal:
    """The factor of an activation that its gate is multiplied with.

    Parameters
    ----------
    tensor : str
        Its name.
    kind : str
        The activation.
    steps : tuple of NodeProto
        What makes the gate of the tensor that the signal is made of, the last step first.
    """

    tensor: str
    kind: str
    steps: tuple[NodeProto, ...]


@dataclass(frozen=True, eq=False)
class Gates:
    """The gates of a graph.

    Parameters
    ----------
    signals : mapping of Signal
        By the name of the product that is an activation.
    inside : set of str
        The tensors that make up a gate.
    """

    signals: Mapping[str, Signal]
    inside: AbstractSet[str]


def find_gates(region: Region) -> Gates:
    """Find the gates of the graph between the image and the score."""
    signals: dict[str, Signal] = {}
    inside: set[str] = set()
    for node in region.nodes:
        operands = [name for name in node.input if name in region.places]
        if node.op_type != "Mul" or len(operands) != 2:
            continue
        chains = [_follow(region, name) for name in operands]
        pairs = list(zip(chains, reversed(chains), strict=True))
        met = [(own, steps) for own, gate in pairs if (steps := _meet(own, gate))]
        if met:
            own, steps = met[0]
            kinds = {step.op_type for step in steps}
            name = next((NAMES[kind] for kind in NAMES if kind in kinds), "HardSwish")
            signals[node.output[0]] = Signal(own.tensors[0], name, steps)
            inside.update(made for step in steps for made in step.output)
            continue
        first, second = (_rank(chain.steps) for chain in chains)
        if first != second:
            gate = chains[0] if first > second else chains[1]
            inside.update(made for step in gate.steps for made in step.output)
    return Gates(signals, inside)


@dataclass(frozen=True, eq=False)
class _Chain:
    """The elementwise steps to a tensor, the last one first, and the tensors before each."""

    tensors: tuple[str, ...]
    steps: tuple[NodeProto, ...]


def _follow(region: Region, tensor: str) -> _Chain:
    tensors, steps = [tensor], []
    while (node := region.producers.get(tensors[-1])) is not None:
        inputs = [name for name in node.input if name in region.places]
        if node.op_type not in UNARY | RESHAPING | {"Softmax"} or len(inputs) != 1:
            break
        steps.append(node)
        tensors.append(inputs[0])
    return _Chain(tuple(tensors), tuple(steps))


def _meet(own: _Chain, gate: _Chain) -> tuple[NodeProto, ...]:
    """Return the steps of a gate from a tensor that its signal is a multiple of; none if none."""
    for place, tensor in enumerate(own.tensors):
        if not {step.op_type for step in own.steps[:place]} <= MULTIPLYING:
            break
        if tensor in gate.tensors:
            steps = gate.steps[: gate.tensors.index(tensor)]
            kinds = {step.op_type for step in steps}
            squashes = _rank(steps) > 0 or "Erf" in kinds
            return steps if squashes and not RESHAPING & kinds else ()
    return ()


def _rank(steps: tuple[NodeProto, ...]) -> int:
    """Return how surely some steps bring any value between two bounds: 2, 1 or not at all, 0."""
    kinds = {step.op_type for step in steps}
    if kinds & SQUASHING:
        return 2
    is_clipped = "Clip" in kinds or {"Min", "Relu"} <= kinds
    return 1 if is_clipped and len(steps) > 1 else 0


def compute_limit(signal: Signal, find_constant: Callable[[str], Array | None]) -> float:
    """Return the gate of large inputs: 1, or a constant that a later node divides by.

    Parameters
    ----------
    signal : Signal
        An activation's.
    find_constant : callable
        Returns the value of a small constant by its name.
    """
    value = np.array([FAR])
    for step in reversed(signal.steps):
        constants = {name: find_constant(name) for name in step.input if name}
        feeds = {
            name: (value if held is None else held).astype(np.float64)
            for name, held in constants.items()
        }
        names = [ValueInfoProto(name=tensor) for tensor in feeds]
        graph = helper.make_graph([step], "step", names, [ValueInfoProto(name=step.output[0])])
        with np.errstate(all="ignore"):
            evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=OPSETS))
            values: Any = evaluator.run(None, feeds)
        value = np.asarray(values[0])
    return float(np.ravel(value)[0])
