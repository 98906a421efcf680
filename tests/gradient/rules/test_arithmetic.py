"""Rules of operators of several tensors, and of activations written as products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import NodeProto, helper
from scipy.special import erf

from onnxplain.gradient import differentiate, gradient_name, measure_facts
from tests.helpers.gradients import (
    Array,
    ReferenceMeasure,
    Scored,
    assert_right,
    assert_rule,
    draw_distinct,
    draw_normal,
    make_model,
)

# Shapes of two operands that broadcast with each other.
PAIRS = st.sampled_from(
    [
        ((2, 3), (2, 3)),
        ((2, 3, 4), (3, 1)),
        ((4,), (2, 1, 4)),
        ((1, 3), (2, 1)),
        ((), (2, 3)),
        ((2, 1, 3), (5, 1)),
    ]
)


@given(shapes=PAIRS, operator=st.sampled_from(["Add", "Sub", "Mul", "Sum"]))
@settings(max_examples=25, deadline=None)
def test_arithmetic_with_broadcasting(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], operator: str
) -> None:
    assert_rule(operator, draw_normal(*shapes[0]), draw_normal(*shapes[1], seed=1))


def test_mean_of_three_operands() -> None:
    assert_rule("Mean", draw_normal(2, 3), draw_normal(2, 3, seed=1), draw_normal(2, 3, seed=2))


@given(shapes=PAIRS)
@settings(max_examples=10, deadline=None)
def test_division_with_broadcasting(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    divisor = np.abs(draw_normal(*shapes[1], seed=1)) + 1
    assert_rule("Div", draw_normal(*shapes[0]), divisor)


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_extremes_of_three_operands(operator: str) -> None:
    assert_rule(
        operator,
        draw_distinct(2, 3, 4),
        draw_distinct(4, seed=1) + 0.01,
        draw_distinct(3, 1) + 0.02,
    )


def test_ties_of_an_extreme_share_the_gradient() -> None:
    node = helper.make_node("Max", ["a", "b"], ["y"])
    same = draw_normal(2, 3)
    gradients = Scored([node], {"a": same, "b": same.copy()}, {}).compute_gradients(np.float64)
    np.testing.assert_array_equal(gradients["a"], gradients["b"])


@pytest.mark.parametrize("exponent", [2.0, 3.0, 0.5, -1.0])
def test_powers(exponent: float) -> None:
    assert_rule("Pow", np.abs(draw_normal(2, 4)) + 0.5, constants={1: np.array(exponent)})


def test_power_with_an_exponent_of_another_type() -> None:
    assert_rule("Pow", draw_normal(2, 4) + 3, constants={1: np.array(3, np.int64)})


def test_square_of_zero_and_of_negative_numbers() -> None:
    assert_rule("Pow", np.array([[-1.5, 0.0, 2.0]]), constants={1: np.array(2.0)})


def test_where_with_broadcasting() -> None:
    condition = draw_normal(2, 3, 4, seed=5) > 0
    assert_rule("Where", draw_normal(3, 4), draw_normal(2, 1, 4), constants={0: condition})


def test_prelu_with_a_slope_per_channel() -> None:
    assert_rule("PRelu", draw_distinct(2, 3, 4), constants={1: draw_normal(3, 1)})


def test_operand_used_twice_gets_both_gradients() -> None:
    nodes = [helper.make_node("Mul", ["x", "x"], ["y"])]
    assert_right(Scored(nodes, {"x": draw_normal(2, 3)}, {}))


def test_swish_written_as_a_product_with_a_sigmoid() -> None:
    nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["s", "x"], ["y"])]
    assert_right(Scored(nodes, {"x": 2 * draw_normal(3, 4)}, {}))


def test_gate_of_a_swish_that_is_used_again_counts_twice() -> None:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Mul", ["x", "s"], ["a"]),
        helper.make_node("Add", ["a", "s"], ["y"]),
    ]
    assert_right(Scored(nodes, {"x": 2 * draw_normal(3, 4)}, {}))


@pytest.mark.parametrize("flipped", [False, True])
def test_gelu_written_out_is_differentiated_as_a_whole(flipped: bool) -> None:
    """Exporters before opset 20 write ``x (1 + erf(x / sqrt 2)) / 2``."""
    turn = -1 if flipped else 1
    nodes = [
        helper.make_node("Mul", ["x", "k"][::turn], ["u"]),
        helper.make_node("Erf", ["u"], ["e"]),
        helper.make_node("Add", ["one", "e"][::turn], ["gate"]),
        helper.make_node("Mul", ["x", "gate"][::turn], ["m"]),
        helper.make_node("Mul", ["m", "half"], ["y"]),
    ]
    constants = {"k": np.array(0.5**0.5), "one": np.array(1.0), "half": np.array(0.5)}
    scored = Scored(nodes, {"x": 2 * draw_normal(3, 4)}, constants)
    assert_right(scored)
    operators = [node.op_type for node in scored.build_gradient(np.float32).graph.node]
    assert operators.count("Exp") == 1


def compute_inner_gradients(
    nodes: list[NodeProto], x: Array, constants: dict[str, Array], *names: str
) -> dict[str, Array]:
    """Compute inner tensors and the gradients of the sum of `y` by them."""
    total = helper.make_node("ReduceSum", ["y"], ["score"], keepdims=0)
    model = make_model([*nodes, total], {"x": x}, constants, ["score", *names])
    facts = measure_facts(model, ReferenceMeasure(), [{"x": x}], np.dtype(np.float64))
    gradient = differentiate(model, facts, score="score", sources=("x", *names))
    return ReferenceMeasure().run(gradient.SerializeToString(), {"x": x})


@pytest.mark.parametrize("beside", [True, False])
def test_gate_of_a_swish_has_a_gradient_of_its_own(beside: bool) -> None:
    nodes = [
        helper.make_node("Tanh", ["x"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["gate"]),
        helper.make_node("Mul", ["h", "gate"], ["a"]),
        helper.make_node(*(("Add", ["a", "gate"]) if beside else ("Identity", ["a"])), ["y"]),
    ]
    tensors = compute_inner_gradients(nodes, 2 * draw_normal(3, 4), {}, "gate", "h")
    h, gate = tensors["h"], tensors["gate"]
    by_gate = h + beside
    np.testing.assert_allclose(tensors[gradient_name("gate")], by_gate, rtol=1e-12)
    by_h = gate + by_gate * gate * (1 - gate)
    np.testing.assert_allclose(tensors[gradient_name("h")], by_h, rtol=1e-12)
    np.testing.assert_allclose(tensors[gradient_name("x")], by_h * (1 - h**2), rtol=1e-12)


GELU = [  # ``x (1 + erf(k x))``
    helper.make_node("Mul", ["x", "k"], ["u"]),
    helper.make_node("Erf", ["u"], ["e"]),
    helper.make_node("Add", ["one", "e"], ["gate"]),
    helper.make_node("Mul", ["x", "gate"], ["y"]),
]


@pytest.mark.parametrize("name", ["gate", "e", "u"])
def test_parts_of_a_gelu_have_gradients_of_their_own(name: str) -> None:
    x, k = 2 * draw_normal(3, 4), 0.5**0.5
    tensors = compute_inner_gradients(GELU, x, {"k": np.array(k), "one": np.array(1.0)}, name)
    gauss = 2 / np.sqrt(np.pi) * np.exp(-((k * x) ** 2))
    expected = x * gauss if name == "u" else x
    np.testing.assert_allclose(tensors[gradient_name(name)], expected, rtol=1e-12)
    by_x = 1 + erf(k * x) + k * x * gauss
    np.testing.assert_allclose(tensors[gradient_name("x")], by_x, rtol=1e-12)


@pytest.mark.parametrize("wide", ["k", "one"])
def test_gelu_with_constants_of_more_axes_than_its_input(wide: str) -> None:
    constants = {"k": np.array(0.7), "one": np.array(1.0)}
    constants[wide] = constants[wide].reshape(1, 1, 1)
    assert_right(Scored(GELU, {"x": draw_normal(3, 4)}, constants))


def test_products_that_only_look_like_gelu_keep_all_their_terms() -> None:
    """Another tensor in the error function, and another number than 1 beside it."""
    nodes = [
        helper.make_node("Mul", ["z", "k"], ["u"]),
        helper.make_node("Erf", ["u"], ["e"]),
        helper.make_node("Add", ["e", "two"], ["gate"]),
        helper.make_node("Mul", ["x", "gate"], ["y"]),
    ]
    constants = {"k": np.array(0.7), "two": np.array(2.0)}
    assert_right(Scored(nodes, {"x": draw_normal(3, 4), "z": draw_normal(3, 4, seed=1)}, constants))
    same = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    same[0].input[0] = "x"
    assert_right(Scored(same, {"x": draw_normal(3, 4)}, constants))
