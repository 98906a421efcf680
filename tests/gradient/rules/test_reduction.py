"""Rules of operators that reduce axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.helpers.gradients import (
    Scored,
    assert_right,
    assert_rule,
    draw_distinct,
    draw_normal,
    draw_with_negative_row,
    ints,
)

REDUCTIONS = ["Sum", "Mean", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp"]


@given(
    kind=st.sampled_from(REDUCTIONS),
    axes=st.sampled_from([[1], [-1], [1, 2], [2, 1], [0, 1, 2]]),
    keep=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_reductions(kind: str, axes: list[int], keep: bool) -> None:
    assert_rule(
        f"Reduce{kind}", draw_distinct(2, 3, 4), constants={1: ints(*axes)}, keepdims=int(keep)
    )


def test_reduction_with_a_growing_batch_and_with_axes_as_an_attribute() -> None:
    assert_rule("ReduceMean", draw_normal(2, 3, 4), axes=[1, 2], opset=17, grows=True)


def test_reduction_of_all_axes_and_of_none() -> None:
    assert_rule("ReduceSum", draw_normal(2, 3), keepdims=0)
    constants = {1: np.array([], np.int64)}
    assert_rule("ReduceSum", draw_normal(2, 3), constants=constants, noop_with_empty_axes=1)


@pytest.mark.parametrize("kind", [*REDUCTIONS, "LogSum"])
@pytest.mark.parametrize("keep", [0, 1])
def test_reduction_of_no_axes_acts_on_every_element(kind: str, keep: int) -> None:
    x = np.abs(draw_normal(2, 3)) + 0.5 if kind == "LogSum" else draw_distinct(2, 3)
    assert_rule(f"Reduce{kind}", x, noop_with_empty_axes=1, keepdims=keep)


@pytest.mark.parametrize("floor", [True, False])
def test_norm_of_zero_has_no_slope(floor: bool) -> None:
    """In the form that `torch.nn.functional.normalize` is exported in, and the norm itself."""
    node = helper.make_node
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("ReduceL2", ["r", "axis"], ["norm" if floor else "y"]),
    ]
    if floor:
        nodes += [node("Clip", ["norm", "low"], ["safe"]), node("Div", ["r", "safe"], ["y"])]
    constants = {"axis": ints(1), "low": np.array(1e-12)}
    assert_right(Scored(nodes, {"x": draw_with_negative_row()}, constants))


def test_log_of_a_sum() -> None:
    assert_rule("ReduceLogSum", np.abs(draw_normal(2, 4)) + 0.5, constants={1: ints(1)})


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pooling(operator: str) -> None:
    assert_rule(operator, draw_distinct(2, 3, 4, 2), grows=True)
