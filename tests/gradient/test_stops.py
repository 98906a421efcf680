"""Stop points are found in the forms that exporters write."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from onnx import NodeProto, helper

from onnxplain.gradient import RULES, differentiate, gradient_name, measure_facts
from onnxplain.gradient.cuts import find_region
from onnxplain.gradient.stops import find_stops
from tests.helpers.gradients import PlainMeasure, make_model

node = helper.make_node


def find(*nodes: NodeProto) -> Mapping[str, str]:
    graph = helper.make_graph(list(nodes), "g", [], [])
    return find_stops(find_region(graph, "x", nodes[-1].output[0]))


FORMS: dict[str, tuple[list[NodeProto], dict[str, str]]] = {
    "silu": ([node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])], {"s": "gate"}),
    "squeeze-excite": (
        [
            node("GlobalAveragePool", ["x"], ["m"]),
            node("Conv", ["m", "w"], ["c"]),
            node("HardSigmoid", ["c"], ["s"]),
            node("Mul", ["x", "s"], ["y"]),
        ],
        {"s": "gate"},
    ),
    "two gates": (
        [
            node("Sigmoid", ["x"], ["s"]),
            node("Tanh", ["x"], ["t"]),
            node("Mul", ["s", "t"], ["y"]),
        ],
        {},
    ),
    "square": ([node("Mul", ["x", "x"], ["y"])], {}),
    "attention": (
        [
            node("MatMul", ["x", "wq"], ["q"]),
            node("MatMul", ["q", "x"], ["qk"]),
            node("Softmax", ["qk"], ["p"]),
            node("Dropout", ["p"], ["kept"]),
            node("MatMul", ["kept", "x"], ["y"]),
        ],
        {"kept": "attention"},
    ),
    "attention without NaN": (
        [
            node("Softmax", ["x"], ["p"]),
            node("IsNaN", ["p"], ["bad"]),
            node("Where", ["bad", "zero", "p"], ["w"]),
            node("MatMul", ["w", "x"], ["y"]),
        ],
        {"w": "attention"},
    ),
    "normalisation": (
        [
            node("ReduceMean", ["x"], ["m"]),
            node("Sub", ["x", "m"], ["d"]),
            node("Pow", ["d", "two"], ["dd"]),
            node("ReduceMean", ["dd"], ["v"]),
            node("Sqrt", ["v"], ["s"]),
            node("Div", ["d", "s"], ["y"]),
        ],
        {"s": "divisor"},
    ),
    "normalisation by a product": (
        [
            node("ReduceMean", ["x"], ["v"]),
            node("Sqrt", ["v"], ["s"]),
            node("Reciprocal", ["s"], ["r"]),
            node("Mul", ["x", "r"], ["y"]),
        ],
        {"r": "divisor"},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_stop_points_of_a_form(form: str) -> None:
    nodes, expected = FORMS[form]
    assert find(*nodes) == expected


def test_nothing_flows_through_a_stop() -> None:
    """With the sigmoid of SiLU held fixed the slope is the sigmoid, also where rules fuse it."""
    x = np.linspace(-3, 3, 8, dtype=np.float32).reshape(2, 4)
    nodes = [
        node("Sigmoid", ["x"], ["s"]),
        node("Mul", ["x", "s"], ["y"]),
        node("ReduceSum", ["y"], ["score"], keepdims=0),
    ]
    model = make_model(nodes, {"x": x}, {}, ["score"])
    facts = measure_facts(model, PlainMeasure(), [{"x": x}], np.dtype(np.float32))
    stopped = differentiate(
        model, facts, score="score", sources=["x"], rules=RULES, stops=frozenset({"s"})
    )
    found = PlainMeasure().run(stopped.SerializeToString(), {"x": x})[gradient_name("x")]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-x)), rtol=1e-6)
