"""Rules of operators that act on every element alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from onnxplain.gradient import GradientError
from tests.helpers.gradients import Scored, assert_rule, draw_distinct, draw_normal

SMOOTH = ["Cos", "Erf", "Exp", "Neg", "Identity", "Sigmoid", "Sin", "Softplus", "Softsign", "Tanh"]


@pytest.mark.parametrize("operator", [*SMOOTH, "Mish"])
def test_smooth_functions(operator: str) -> None:
    assert_rule(operator, draw_normal(2, 3, 4), grows=True)


@pytest.mark.parametrize("operator", ["Log", "Sqrt", "Reciprocal"])
def test_functions_of_positive_numbers(operator: str) -> None:
    assert_rule(operator, np.abs(draw_normal(3, 4)) + 0.5)


@pytest.mark.parametrize(
    "operator",
    ["Abs", "Celu", "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Selu"],
)
def test_functions_with_kinks_away_from_them(operator: str) -> None:
    assert_rule(operator, draw_distinct(4, 30))


@given(alpha=st.floats(0.2, 2), beta=st.floats(0.3, 0.7), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_parameters_of_activations_are_used(alpha: float, beta: float, seed: int) -> None:
    x = 3 * draw_normal(2, 7, seed=seed)
    assert_rule("Elu", x, alpha=alpha)
    assert_rule("Celu", x, alpha=alpha)
    assert_rule("LeakyRelu", x, alpha=alpha)
    assert_rule("Selu", x, alpha=alpha, gamma=1 + beta)
    assert_rule("HardSigmoid", x, alpha=alpha / 9, beta=beta)
    assert_rule("ThresholdedRelu", x, alpha=alpha)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    assert_rule("Gelu", 2 * draw_normal(3, 5), opset=20, approximate=approximate)


@given(alpha=st.floats(0.3, 3), shape=st.lists(st.integers(1, 4), min_size=1, max_size=4))
@settings(max_examples=8, deadline=None)
def test_swish(alpha: float, shape: list[int]) -> None:
    assert_rule("Swish", 2 * draw_normal(*shape), alpha=alpha, opset=24)


@given(
    operator=st.sampled_from([*SMOOTH, "Dropout", "HardSwish", "LeakyRelu", "Relu"]),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=5),
)
@settings(max_examples=25, deadline=None)
def test_functions_of_any_shape(operator: str, shape: list[int]) -> None:
    assert_rule(operator, draw_distinct(*shape), grows=len(shape) > 1)


@pytest.mark.parametrize("low", [None, -0.5])
@pytest.mark.parametrize("high", [None, 0.6])
def test_clip_with_each_bound_given_or_not(low: float | None, high: float | None) -> None:
    bounds = {1: low, 2: high}
    constants = {k: np.array(v, np.float64) for k, v in bounds.items() if v is not None}
    assert_rule("Clip", draw_distinct(5, 8), constants=constants)


@pytest.mark.parametrize("bound", ["low", "high"])
def test_clip_at_a_bound_that_depends_on_the_image_is_refused(bound: str) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], [bound], keepdims=0),
        helper.make_node("Clip", ["x", *(["low"] if bound == "low" else ["", "high"])], ["y"]),
    ]
    with pytest.raises(GradientError, match=r"'y' \(Clip\).*its bounds depend on the image"):
        Scored(nodes, {"x": draw_normal(3, 4)}, {}).compute_gradients(np.float32)
