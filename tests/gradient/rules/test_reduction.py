"""Rules of reductions, softmax and normalisations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.helpers.gradients import (
    Array,
    Scored,
    assert_right,
    assert_rule,
    distinct,
    ints,
    normal,
)

REDUCTIONS = ["Sum", "Mean", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp"]


@given(
    kind=st.sampled_from(REDUCTIONS),
    axes=st.sampled_from([[1], [-1], [1, 2], [2, 1], [0, 1, 2]]),
    keep=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_reductions(kind: str, axes: list[int], keep: bool) -> None:
    assert_rule(f"Reduce{kind}", distinct(2, 3, 4), constants={1: ints(*axes)}, keepdims=int(keep))


def test_reduction_with_a_growing_batch_and_with_axes_as_an_attribute() -> None:
    assert_rule("ReduceMean", normal(2, 3, 4), axes=[1, 2], opset=17, grows=True)


def test_reduction_of_everything_and_of_nothing() -> None:
    assert_rule("ReduceSum", normal(2, 3), keepdims=0)
    constants = {1: np.array([], np.int64)}
    assert_rule("ReduceSum", normal(2, 3), constants=constants, noop_with_empty_axes=1)


@pytest.mark.parametrize("kind", [*REDUCTIONS, "LogSum"])
@pytest.mark.parametrize("keep", [0, 1])
def test_a_reduction_of_no_axes_does_what_it_does_to_every_element(kind: str, keep: int) -> None:
    x = np.abs(normal(2, 3)) + 0.5 if kind == "LogSum" else distinct(2, 3)
    assert_rule(f"Reduce{kind}", x, noop_with_empty_axes=1, keepdims=keep)


def with_a_negative_row() -> Array:
    """Relu makes zeros of it, and of what is near it: the slope there is 0."""
    x = distinct(3, 4)
    x[1] = -1 - np.abs(x[1])
    return x


@pytest.mark.parametrize("floor", [True, False])
def test_a_norm_of_zero_has_no_slope(floor: bool) -> None:
    """As `torch.nn.functional.normalize` is exported, and the norms themselves."""
    node = helper.make_node
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("ReduceL2", ["r", "axis"], ["norm" if floor else "y"]),
    ]
    if floor:
        nodes += [node("Clip", ["norm", "low"], ["safe"]), node("Div", ["r", "safe"], ["y"])]
    constants = {"axis": ints(1), "low": np.array(1e-12)}
    assert_right(Scored(nodes, {"x": with_a_negative_row()}, constants))


def test_division_by_a_norm_of_zero_has_no_slope() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("LpNormalization", ["r"], ["y"], axis=1),
    ]
    with np.errstate(invalid="ignore"):  # onnx's evaluator divides, and then puts zeros
        assert_right(Scored(nodes, {"x": with_a_negative_row()}, {}))


def test_log_of_a_sum() -> None:
    assert_rule("ReduceLogSum", np.abs(normal(2, 4)) + 0.5, constants={1: ints(1)})


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pooling(operator: str) -> None:
    assert_rule(operator, distinct(2, 3, 4, 2), grows=True)


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax(operator: str, axis: int) -> None:
    assert_rule(operator, 2 * normal(2, 3, 4), axis=axis, grows=True)


@pytest.mark.parametrize("axis", [-1, 1])
def test_layer_normalization(axis: int) -> None:
    shape = (3, 4)[2 - (axis % 3) :] if axis == -1 else (3, 4)
    constants = {1: normal(*shape, seed=1), 2: normal(*shape, seed=2)}
    assert_rule(
        "LayerNormalization", 2 * normal(2, 3, 4), constants=constants, axis=axis, epsilon=1e-3
    )


def test_rms_normalization() -> None:
    constants = {1: normal(4, seed=1)}
    assert_rule("RMSNormalization", normal(2, 3, 4), constants=constants, opset=23, grows=True)


def test_instance_normalization() -> None:
    constants = {1: normal(3, seed=1), 2: normal(3, seed=2)}
    assert_rule("InstanceNormalization", normal(2, 3, 4, 2), constants=constants, grows=True)


@pytest.mark.parametrize(("opset", "scales"), [(18, 2), (21, 6)])
def test_group_normalization(opset: int, scales: int) -> None:
    constants = {1: normal(scales, seed=1), 2: normal(scales, seed=2)}
    x = normal(2, 6, 3)
    assert_rule("GroupNormalization", x, constants=constants, num_groups=2, opset=opset)


def test_batch_normalization() -> None:
    mean, variance = normal(3, seed=3), np.abs(normal(3, seed=4)) + 0.1
    constants = {1: normal(3, seed=1), 2: normal(3, seed=2), 3: mean, 4: variance}
    assert_rule("BatchNormalization", normal(2, 3, 4, 2), constants=constants, grows=True)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_normalization(size: int) -> None:
    attributes = {"size": size, "alpha": 0.9, "beta": 0.6, "bias": 1.3}
    assert_rule("LRN", normal(2, 7, 2, 2), grows=True, **attributes)


@pytest.mark.parametrize("axis", [1, -1])
def test_division_by_the_norm(axis: int) -> None:
    assert_rule("LpNormalization", normal(2, 3, 4), axis=axis, p=2)
