"""DeconvNet and guided backpropagation against their formulas, for every form of activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray
from onnx import NodeProto, helper

from onnxplain.core.inside import RuleTable
from onnxplain.gradient import GradientError, GradientRequest, build_gradient
from onnxplain.gradient.build import read_notes
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers.gradients import Array, draw_normal, ints, make_model

node = helper.make_node
CONSTANTS = {
    "half": np.array(0.5, "f"),
    "one": np.array(1, "f"),
    "three": np.array(3, "f"),
    "six": np.array(6, "f"),
    "zero": np.array(0, "f"),
    "root": np.array(np.sqrt(2), "f"),
}
ERF = [node("Div", ["a", "root"], ["u"]), node("Erf", ["u"], ["v"])]


def sigmoid(a: Array) -> Array:
    return scipy.special.expit(a)


def silu_slope(a: Array) -> Array:
    return sigmoid(a) * (1 + a * (1 - sigmoid(a)))


def gelu_slope(a: Array) -> Array:
    gauss = np.exp(-(a**2) / 2) / np.sqrt(2 * np.pi)
    return scipy.special.ndtr(a) + a * gauss


def hard_swish_slope(a: Array) -> Array:
    return np.where(a <= -3, 0, np.where(a >= 3, 1, a / 3 + 0.5))


# How exporters write an activation of `a`, its slope, and its name in the record.
FORMS: dict[str, tuple[list[NodeProto], Callable[[Array], Array], list[str]]] = {
    "relu": ([node("Relu", ["a"], ["f"])], lambda a: a > 0, []),
    "relu6": ([node("Clip", ["a", "zero", "six"], ["f"])], lambda a: (a > 0) & (a < 6), []),
    "leaky": (
        [node("LeakyRelu", ["a"], ["f"], alpha=0.2)],
        lambda a: np.where(a > 0, 1, 0.2),
        ["LeakyRelu"],
    ),
    "silu": (
        [node("Sigmoid", ["a"], ["s"]), node("Mul", ["a", "s"], ["f"])], silu_slope, ["Swish"],
    ),
    "silu, gate first": (
        [node("Sigmoid", ["a"], ["s"]), node("Mul", ["s", "a"], ["f"])], silu_slope, ["Swish"],
    ),
    "hard-swish": ([node("HardSwish", ["a"], ["f"])], hard_swish_slope, ["HardSwish"]),
    "hard-swish of hard-sigmoid": (
        [node("HardSigmoid", ["a"], ["s"], alpha=1 / 6, beta=0.5), node("Mul", ["a", "s"], ["f"])],
        hard_swish_slope,
        ["HardSwish"],
    ),
    "hard-swish of clip": (
        [
            node("Add", ["a", "three"], ["u"]),
            node("Clip", ["u", "zero", "six"], ["v"]),
            node("Mul", ["a", "v"], ["w"]),
            node("Div", ["w", "six"], ["f"]),
        ],
        hard_swish_slope,
        ["HardSwish"],
    ),
    "gelu, halved last": (
        [
            *ERF,
            node("Add", ["v", "one"], ["w"]),
            node("Mul", ["a", "w"], ["m"]),
            node("Mul", ["m", "half"], ["f"]),
        ],
        gelu_slope,
        ["Gelu"],
    ),
    "gelu, signal halved": (
        [
            *ERF,
            node("Add", ["v", "one"], ["w"]),
            node("Mul", ["a", "half"], ["h"]),
            node("Mul", ["h", "w"], ["f"]),
        ],
        gelu_slope,
        ["Gelu"],
    ),
    "gelu, gate halved": (
        [
            *ERF,
            node("Add", ["v", "one"], ["w"]),
            node("Mul", ["w", "half"], ["h"]),
            node("Mul", ["a", "h"], ["f"]),
        ],
        gelu_slope,
        ["Gelu"],
    ),
}  # fmt: skip


def run_table(
    nodes: list[NodeProto], tensors: dict[str, Array], x: Array, table: RuleTable
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the walk's result at the input for target 1 of each row, and the notes."""
    constants = {**CONSTANTS, **tensors}
    used = {name for entry in nodes for name in entry.input}
    model = make_model(nodes, {"x": x}, {k: v for k, v in constants.items() if k in used}, ["y"])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    request = GradientRequest("x", "y", kind="raw", rules=table)
    examples = [{"x": x[:2]}, {"x": x[:3]}]
    content = build_gradient(model, request, RuntimeMeasure(), examples).SerializeToString()
    outputs = RuntimeMeasure().run(content, {"x": x, "target": np.ones(len(x), np.int64)})
    return outputs["d_score/d_x"], read_notes(content)


def draw_net() -> tuple[Array, dict[str, Array]]:
    rng = np.random.default_rng(2)
    x = (2 * rng.normal(size=(5, 6))).astype("f")
    x[0] = 0  # an activation at 0 has the slope of the flat side
    w1, w2 = rng.normal(size=(6, 7)).astype("f"), rng.normal(size=(7, 3)).astype("f")
    w2[0] = 0  # a gradient of 0
    return x, {"w1": w1, "w2": w2}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("table", ["guided", "deconvnet"])
@pytest.mark.parametrize("bias", [False, True])
def test_walk_through_a_hidden_layer_is_the_formula(form: str, table: str, bias: bool) -> None:
    nodes, slope, kinds = FORMS[form]
    x, tensors = draw_net()
    first = [node("MatMul", ["x", "w1"], ["a"])]
    if bias:  # an addition of its own, as in exports of dense layers
        first = [node("MatMul", ["x", "w1"], ["before"]), node("Add", ["b1", "before"], ["a"])]
        tensors["b1"] = np.linspace(-1, 1, 7, dtype="f")
    whole = [*first, *nodes, node("MatMul", ["f", "w2"], ["y"])]
    walked, notes = run_table(whole, tensors, x, RuleTable(table))
    positive = np.maximum(tensors["w2"][:, 1], 0)
    passed = positive * (
        slope(x @ tensors["w1"] + tensors.get("b1", 0)) if table == "guided" else 1
    )
    expected = np.broadcast_to(passed, (5, 7)) @ tensors["w1"].T
    np.testing.assert_allclose(walked, expected, rtol=2e-5, atol=1e-5)
    assert notes == {"extended": kinds}


@pytest.mark.parametrize("form", ["leaky", "silu", "hard-swish", "gelu, halved last"])
@pytest.mark.parametrize("table", ["guided", "deconvnet"])
def test_other_activations_are_refused_if_the_rules_are_not_extended(form: str, table: str) -> None:
    nodes = FORMS[form][0]
    x, tensors = draw_net()
    whole = [node("MatMul", ["x", "w1"], ["a"]), *nodes, node("MatMul", ["f", "w2"], ["y"])]
    strict = RuleTable(table, (("extended", False),))
    with pytest.raises(GradientError, match="defined for rectifiers alone; choose extended=true"):
        run_table(whole, tensors, x, strict)
    relu = [whole[0], *FORMS["relu"][0], whole[-1]]
    run_table(relu, tensors, x, strict)


@pytest.mark.parametrize("table", ["guided", "deconvnet"])
def test_net_without_activations_has_its_gradient(table: str) -> None:
    x, tensors = draw_net()
    nodes = [node("MatMul", ["x", "w1"], ["a"]), node("MatMul", ["a", "w2"], ["y"])]
    walked, _ = run_table(nodes, tensors, x, RuleTable(table))
    expected = np.broadcast_to(tensors["w1"] @ tensors["w2"][:, 1], x.shape)
    np.testing.assert_allclose(walked, expected, rtol=1e-5)


@pytest.mark.parametrize("end", ["Sigmoid", "HardSigmoid"])
@pytest.mark.parametrize("table", ["guided", "deconvnet"])
def test_gates_of_squeeze_and_excitation_keep_the_ordinary_gradient(end: str, table: str) -> None:
    """The gate is made of the mean over positions: y = sum_k w2 a s(mean(a))."""
    x = draw_normal(3, 4, 5).astype("f")
    w = draw_normal(4).astype("f")
    nodes = [
        node("ReduceMean", ["x", "axis"], ["mean"], keepdims=1),
        node(end, ["mean"], ["s"]),
        node("Mul", ["x", "s"], ["gated"]),
        node("ReduceMean", ["gated", "axis"], ["m"], keepdims=0),
        node("Mul", ["m", "w"], ["y"]),
    ]
    walked, notes = run_table(nodes, {"axis": ints(2), "w": w}, x, RuleTable(table))
    mean = x.mean(axis=2)
    if end == "Sigmoid":
        s = sigmoid(mean)
        slope = s * (1 - s)
    else:
        s = np.clip(0.2 * mean + 0.5, 0, 1)
        slope = np.where((s > 0) & (s < 1), 0.2, 0)
    expected = np.zeros_like(x)
    expected[:, 1] = (w[1] * (s + mean * slope) / 5)[:, [1]]
    np.testing.assert_allclose(walked, expected, rtol=1e-4, atol=1e-6)
    assert notes == {"extended": []}
