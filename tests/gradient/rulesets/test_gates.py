"""Gates and activations are told apart in the forms that exporters write."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper

from onnxplain.gradient.cuts import find_region
from onnxplain.gradient.rulesets.gates import compute_limit, find_gates

node = helper.make_node


def find(*nodes: NodeProto) -> object:
    graph = helper.make_graph(list(nodes), "g", [], [])
    return find_gates(find_region(graph, "x", nodes[-1].output[0]))


def test_product_of_a_tensor_and_its_sigmoid_is_an_activation() -> None:
    gates = find(node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"]))
    assert {name: signal.kind for name, signal in gates.signals.items()} == {"y": "Swish"}
    assert gates.inside == {"s"}


def test_product_with_the_sigmoid_of_another_tensor_is_a_gate_alone() -> None:
    gates = find(
        node("GlobalAveragePool", ["x"], ["mean"]),
        node("Conv", ["mean", "w"], ["c"]),
        node("Sigmoid", ["c"], ["s"]),
        node("Mul", ["x", "s"], ["y"]),
    )
    assert gates.signals == {}
    assert gates.inside == {"s"}


def test_product_of_two_signals_is_neither() -> None:
    gates = find(
        node("Relu", ["x"], ["a"]),
        node("Conv", ["x", "w"], ["b"]),
        node("Mul", ["a", "b"], ["y"]),
    )
    assert gates.signals == {}
    assert gates.inside == set()


@pytest.mark.parametrize(("factor", "limit"), [(1.0, 1.0), (2.0, 2.0), (0.5, 0.5)])
def test_limit_is_the_gate_of_large_inputs(factor: float, limit: float) -> None:
    nodes = [
        node("Sigmoid", ["x"], ["s"]),
        node("Mul", ["s", "k"], ["g"]),
        node("Mul", ["x", "g"], ["y"]),
    ]
    signal = find(*nodes).signals["y"]
    assert compute_limit(signal, {"k": np.array(factor)}.get) == pytest.approx(limit)


def test_gate_is_told_from_a_clipped_signal_in_any_order() -> None:
    """The signal comes from a clip behind an addition, as of a folded normalisation."""
    for operands in (["a", "s"], ["s", "a"]):
        gates = find(
            node("Add", ["x", "bias"], ["n"]),
            node("Clip", ["n", "low", "high"], ["a"]),
            node("GlobalAveragePool", ["a"], ["mean"]),
            node("Sigmoid", ["mean"], ["s"]),
            node("Mul", operands, ["y"]),
        )
        assert gates.signals == {}
        assert gates.inside == {"s"}


def test_two_gates_are_a_product() -> None:
    gates = find(
        node("Sigmoid", ["x"], ["s"]),
        node("Tanh", ["x"], ["t"]),
        node("Mul", ["s", "t"], ["y"]),
    )
    assert gates.signals == {}
    assert gates.inside == set()
