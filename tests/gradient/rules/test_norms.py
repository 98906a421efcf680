"""Rules of softmax and the normalisations."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from tests.helpers.gradients import (
    Scored,
    assert_right,
    assert_rule,
    draw_normal,
    draw_with_negative_row,
)


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax(operator: str, axis: int) -> None:
    assert_rule(operator, 2 * draw_normal(2, 3, 4), axis=axis, grows=True)


@pytest.mark.parametrize("axis", [-1, 1])
def test_layer_normalization(axis: int) -> None:
    shape = (3, 4)[2 - (axis % 3) :] if axis == -1 else (3, 4)
    constants = {1: draw_normal(*shape, seed=1), 2: draw_normal(*shape, seed=2)}
    assert_rule(
        "LayerNormalization", 2 * draw_normal(2, 3, 4), constants=constants, axis=axis, epsilon=1e-3
    )


def test_rms_normalization() -> None:
    constants = {1: draw_normal(4, seed=1)}
    assert_rule("RMSNormalization", draw_normal(2, 3, 4), constants=constants, opset=23, grows=True)


def test_instance_normalization() -> None:
    constants = {1: draw_normal(3, seed=1), 2: draw_normal(3, seed=2)}
    assert_rule("InstanceNormalization", draw_normal(2, 3, 4, 2), constants=constants, grows=True)


@pytest.mark.parametrize(("opset", "scales"), [(18, 2), (21, 6)])
def test_group_normalization(opset: int, scales: int) -> None:
    constants = {1: draw_normal(scales, seed=1), 2: draw_normal(scales, seed=2)}
    x = draw_normal(2, 6, 3)
    assert_rule("GroupNormalization", x, constants=constants, num_groups=2, opset=opset)


def test_batch_normalization() -> None:
    mean, variance = draw_normal(3, seed=3), np.abs(draw_normal(3, seed=4)) + 0.1
    constants = {1: draw_normal(3, seed=1), 2: draw_normal(3, seed=2), 3: mean, 4: variance}
    assert_rule("BatchNormalization", draw_normal(2, 3, 4, 2), constants=constants, grows=True)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_normalization(size: int) -> None:
    attributes = {"size": size, "alpha": 0.9, "beta": 0.6, "bias": 1.3}
    assert_rule("LRN", draw_normal(2, 7, 2, 2), grows=True, **attributes)


@pytest.mark.parametrize("axis", [1, -1])
def test_division_by_the_norm(axis: int) -> None:
    assert_rule("LpNormalization", draw_normal(2, 3, 4), axis=axis, p=2)


def test_division_by_a_norm_of_zero_has_no_slope() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("LpNormalization", ["r"], ["y"], axis=1),
    ]
    with np.errstate(invalid="ignore"):  # onnx's evaluator divides first, then puts zeros
        assert_right(Scored(nodes, {"x": draw_with_negative_row()}, {}))


def test_scale_and_bias_of_normalisations() -> None:
    """Of weights, which are no results of other nodes."""
    statistics = {3: draw_normal(3, seed=4), 4: np.abs(draw_normal(3, seed=5)) + 0.5}
    x, scale, bias = draw_normal(2, 3, 4, 2), draw_normal(3, seed=2), draw_normal(3, seed=3)
    assert_rule("BatchNormalization", x, scale, bias, constants=statistics)
    x, scale, bias = 2 * draw_normal(2, 3, 4), draw_normal(4, seed=2), draw_normal(4, seed=3)
    assert_rule("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-3)
