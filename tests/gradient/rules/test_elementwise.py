"""Rules of activations and arithmetic."""

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
    Reference,
    Scored,
    assert_right,
    assert_rule,
    distinct,
    make_model,
    normal,
)

SMOOTH = ["Cos", "Erf", "Exp", "Neg", "Identity", "Sigmoid", "Sin", "Softplus", "Softsign", "Tanh"]


@pytest.mark.parametrize("operator", [*SMOOTH, "Mish"])
def test_smooth_functions(operator: str) -> None:
    assert_rule(operator, normal(2, 3, 4), grows=True)


@pytest.mark.parametrize("operator", ["Log", "Sqrt", "Reciprocal"])
def test_functions_of_positive_numbers(operator: str) -> None:
    assert_rule(operator, np.abs(normal(3, 4)) + 0.5)


@pytest.mark.parametrize(
    "operator",
    ["Abs", "Celu", "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Selu"],
)
def test_functions_with_kinks_away_from_them(operator: str) -> None:
    assert_rule(operator, distinct(4, 30))


@given(alpha=st.floats(0.2, 2), beta=st.floats(0.3, 0.7), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_parameters_of_activations_are_heeded(alpha: float, beta: float, seed: int) -> None:
    x = 3 * normal(2, 7, seed=seed)
    assert_rule("Elu", x, alpha=alpha)
    assert_rule("Celu", x, alpha=alpha)
    assert_rule("LeakyRelu", x, alpha=alpha)
    assert_rule("Selu", x, alpha=alpha, gamma=1 + beta)
    assert_rule("HardSigmoid", x, alpha=alpha / 9, beta=beta)
    assert_rule("ThresholdedRelu", x, alpha=alpha)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    assert_rule("Gelu", 2 * normal(3, 5), opset=20, approximate=approximate)


@given(alpha=st.floats(0.3, 3), shape=st.lists(st.integers(1, 4), min_size=1, max_size=4))
@settings(max_examples=8, deadline=None)
def test_swish(alpha: float, shape: list[int]) -> None:
    assert_rule("Swish", 2 * normal(*shape), alpha=alpha, opset=24)


@given(
    operator=st.sampled_from([*SMOOTH, "Dropout", "HardSwish", "LeakyRelu", "Relu"]),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=5),
)
@settings(max_examples=25, deadline=None)
def test_functions_of_any_shape(operator: str, shape: list[int]) -> None:
    assert_rule(operator, distinct(*shape), grows=len(shape) > 1)


@pytest.mark.parametrize("low", [None, -0.5])
@pytest.mark.parametrize("high", [None, 0.6])
def test_clip_with_each_bound_given_or_not(low: float | None, high: float | None) -> None:
    bounds = {1: low, 2: high}
    constants = {k: np.array(v, np.float64) for k, v in bounds.items() if v is not None}
    assert_rule("Clip", distinct(5, 8), constants=constants)


def test_swish_written_as_a_product_with_a_sigmoid() -> None:
    nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["s", "x"], ["y"])]
    assert_right(Scored(nodes, {"x": 2 * normal(3, 4)}, {}))


def test_sigmoid_of_the_gate_used_twice_is_counted_twice() -> None:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Mul", ["x", "s"], ["a"]),
        helper.make_node("Add", ["a", "s"], ["y"]),
    ]
    assert_right(Scored(nodes, {"x": 2 * normal(3, 4)}, {}))


@pytest.mark.parametrize("flipped", [False, True])
def test_gelu_written_out_takes_one_rule(flipped: bool) -> None:
    """As exporters before opset 20 write it: ``x (1 + erf(x / sqrt 2)) / 2``."""
    turn = -1 if flipped else 1
    nodes = [
        helper.make_node("Mul", ["x", "k"][::turn], ["u"]),
        helper.make_node("Erf", ["u"], ["e"]),
        helper.make_node("Add", ["one", "e"][::turn], ["gate"]),
        helper.make_node("Mul", ["x", "gate"][::turn], ["m"]),
        helper.make_node("Mul", ["m", "half"], ["y"]),
    ]
    constants = {"k": np.array(0.5**0.5), "one": np.array(1.0), "half": np.array(0.5)}
    scored = Scored(nodes, {"x": 2 * normal(3, 4)}, constants)
    assert_right(scored)
    assert sum(one.op_type == "Exp" for one in scored.built(np.float32).graph.node) == 1


def inner_gradients(
    nodes: list[NodeProto], x: Array, constants: dict[str, Array], *names: str
) -> dict[str, Array]:
    """Of the sum of `y` by inner tensors, beside the tensors themselves."""
    total = helper.make_node("ReduceSum", ["y"], ["score"], keepdims=0)
    model = make_model([*nodes, total], {"x": x}, constants, ["score", *names])
    facts = measure_facts(model, Reference(), [{"x": x}], np.dtype(np.float64))
    built = differentiate(model, facts, score="score", sources=("x", *names))
    return Reference().run(built.SerializeToString(), {"x": x})


@pytest.mark.parametrize("beside", [True, False])
def test_the_gate_of_a_swish_has_a_gradient_of_its_own(beside: bool) -> None:
    nodes = [
        helper.make_node("Tanh", ["x"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["gate"]),
        helper.make_node("Mul", ["h", "gate"], ["a"]),
        helper.make_node(*(("Add", ["a", "gate"]) if beside else ("Identity", ["a"])), ["y"]),
    ]
    found = inner_gradients(nodes, 2 * normal(3, 4), {}, "gate", "h")
    h, gate = found["h"], found["gate"]
    by_gate = h + beside
    np.testing.assert_allclose(found[gradient_name("gate")], by_gate, rtol=1e-12)
    by_h = gate + by_gate * gate * (1 - gate)
    np.testing.assert_allclose(found[gradient_name("h")], by_h, rtol=1e-12)
    np.testing.assert_allclose(found[gradient_name("x")], by_h * (1 - h**2), rtol=1e-12)


GELU = [  # ``x (1 + erf(k x))``
    helper.make_node("Mul", ["x", "k"], ["u"]),
    helper.make_node("Erf", ["u"], ["e"]),
    helper.make_node("Add", ["one", "e"], ["gate"]),
    helper.make_node("Mul", ["x", "gate"], ["y"]),
]


@pytest.mark.parametrize("name", ["gate", "e", "u"])
def test_the_parts_of_a_gelu_have_gradients_of_their_own(name: str) -> None:
    x, k = 2 * normal(3, 4), 0.5**0.5
    found = inner_gradients(GELU, x, {"k": np.array(k), "one": np.array(1.0)}, name)
    gauss = 2 / np.sqrt(np.pi) * np.exp(-((k * x) ** 2))
    expected = x * gauss if name == "u" else x
    np.testing.assert_allclose(found[gradient_name(name)], expected, rtol=1e-12)
    by_x = 1 + erf(k * x) + k * x * gauss
    np.testing.assert_allclose(found[gradient_name("x")], by_x, rtol=1e-12)


@pytest.mark.parametrize("wide", ["k", "one"])
def test_gelu_with_a_number_of_more_axes_than_its_input(wide: str) -> None:
    constants = {"k": np.array(0.7), "one": np.array(1.0)}
    constants[wide] = constants[wide].reshape(1, 1, 1)
    assert_right(Scored(GELU, {"x": normal(3, 4)}, constants))


def test_what_looks_like_gelu_and_is_not_keeps_all_its_parts() -> None:
    """Another tensor in the error function, and another number than 1 beside it."""
    nodes = [
        helper.make_node("Mul", ["z", "k"], ["u"]),
        helper.make_node("Erf", ["u"], ["e"]),
        helper.make_node("Add", ["e", "two"], ["gate"]),
        helper.make_node("Mul", ["x", "gate"], ["y"]),
    ]
    constants = {"k": np.array(0.7), "two": np.array(2.0)}
    assert_right(Scored(nodes, {"x": normal(3, 4), "z": normal(3, 4, seed=1)}, constants))
    same = [one.__class__.FromString(one.SerializeToString()) for one in nodes]
    same[0].input[0] = "x"
    assert_right(Scored(same, {"x": normal(3, 4)}, constants))


# Shapes of two operands that broadcast with each other.
pairs = st.sampled_from(
    [
        ((2, 3), (2, 3)),
        ((2, 3, 4), (3, 1)),
        ((4,), (2, 1, 4)),
        ((1, 3), (2, 1)),
        ((), (2, 3)),
        ((2, 1, 3), (5, 1)),
    ]
)


@given(shapes=pairs, operator=st.sampled_from(["Add", "Sub", "Mul", "Sum"]))
@settings(max_examples=25, deadline=None)
def test_arithmetic_with_broadcasting(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], operator: str
) -> None:
    assert_rule(operator, normal(*shapes[0]), normal(*shapes[1], seed=1))


def test_mean_of_three_operands() -> None:
    assert_rule("Mean", normal(2, 3), normal(2, 3, seed=1), normal(2, 3, seed=2))


@given(shapes=pairs)
@settings(max_examples=10, deadline=None)
def test_division_with_broadcasting(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    divisor = np.abs(normal(*shapes[1], seed=1)) + 1
    assert_rule("Div", normal(*shapes[0]), divisor)


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_extremes_of_three_operands(operator: str) -> None:
    assert_rule(operator, distinct(2, 3, 4), distinct(4, seed=1) + 0.01, distinct(3, 1) + 0.02)


def test_ties_of_an_extreme_share_the_gradient() -> None:
    node = helper.make_node("Max", ["a", "b"], ["y"])
    same = normal(2, 3)
    gradients = Scored([node], {"a": same, "b": same.copy()}, {}).gradients(np.float64)
    np.testing.assert_array_equal(gradients["a"], gradients["b"])


@pytest.mark.parametrize("exponent", [2.0, 3.0, 0.5, -1.0])
def test_powers(exponent: float) -> None:
    assert_rule("Pow", np.abs(normal(2, 4)) + 0.5, constants={1: np.array(exponent)})


def test_power_with_an_exponent_of_another_type() -> None:
    assert_rule("Pow", normal(2, 4) + 3, constants={1: np.array(3, np.int64)})


def test_a_square_has_a_slope_at_zero_and_below() -> None:
    assert_rule("Pow", np.array([[-1.5, 0.0, 2.0]]), constants={1: np.array(2.0)})


def test_where_with_broadcasting() -> None:
    condition = normal(2, 3, 4, seed=5) > 0
    assert_rule("Where", normal(3, 4), normal(2, 1, 4), constants={0: condition})


def test_prelu_with_a_slope_a_channel() -> None:
    assert_rule("PRelu", distinct(2, 3, 4), constants={1: normal(3, 1)})


def test_an_operand_used_twice_gets_both_gradients() -> None:
    nodes = [helper.make_node("Mul", ["x", "x"], ["y"])]
    x = normal(2, 3)
    scored = Scored(nodes, {"x": x}, {})
    assert_right(scored)
