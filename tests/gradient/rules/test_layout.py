"""Rules of operators that move values and keep each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from onnxplain.gradient import GradientError
from tests.helpers.gradients import Scored, assert_right, assert_rule, draw_normal, ints


def test_reshape_with_a_growing_batch() -> None:
    assert_rule("Reshape", draw_normal(2, 3, 4), constants={1: ints(0, -1)}, grows=True)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flatten(axis: int) -> None:
    assert_rule("Flatten", draw_normal(2, 3, 4), axis=axis)


def test_squeeze_and_unsqueeze() -> None:
    assert_rule("Squeeze", draw_normal(2, 1, 4), constants={1: ints(1)}, grows=True)
    assert_rule("Unsqueeze", draw_normal(2, 4), constants={1: ints(-1, 1)}, grows=True)


@given(order=st.permutations(range(4)))
@settings(max_examples=10, deadline=None)
def test_transpose(order: list[int]) -> None:
    assert_rule("Transpose", draw_normal(2, 3, 4, 2), perm=order)


def test_transpose_without_an_order_reverses_the_axes() -> None:
    assert_rule("Transpose", draw_normal(2, 3, 4))


@pytest.mark.parametrize("axis", [1, -1])
def test_concat_of_variables_and_a_constant(axis: int) -> None:
    shapes = {1: [(2, 3, 4), (2, 5, 4)], -1: [(2, 3, 4), (2, 3, 1)]}[axis]
    first, last = (draw_normal(*shape, seed=k) for k, shape in enumerate(shapes))
    assert_rule("Concat", first, last, constants={1: first + 1}, axis=axis)


def test_split_with_an_unused_part() -> None:
    nodes = [
        helper.make_node("Split", ["x", "sizes"], ["a", "b", "c"], axis=1),
        helper.make_node("Concat", ["a", "c"], ["y"], axis=1),
    ]
    assert_right(Scored(nodes, {"x": draw_normal(2, 6, 2)}, {"sizes": ints(1, 3, 2)}, grows=True))


@given(shapes=st.sampled_from([((3, 1), (2, 3, 4)), ((1, 4), (5, 1)), ((2, 1, 3), (2, 4, 3))]))
@settings(max_examples=6, deadline=None)
def test_expand(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    assert_rule("Expand", draw_normal(*shapes[0]), constants={1: ints(*shapes[1])})


@given(repeats=st.lists(st.integers(1, 3), min_size=3, max_size=3))
@settings(max_examples=8, deadline=None)
def test_tile(repeats: list[int]) -> None:
    assert_rule("Tile", draw_normal(2, 3, 2), constants={1: ints(*repeats)})


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    assert_rule("DepthToSpace", draw_normal(2, 8, 2, 3), blocksize=2, mode=mode, grows=True)


def test_space_to_depth() -> None:
    assert_rule("SpaceToDepth", draw_normal(2, 2, 4, 6), blocksize=2, grows=True)


@pytest.mark.parametrize("upper", [0, 1])
def test_triangle(upper: int) -> None:
    assert_rule("Trilu", draw_normal(2, 4, 5), constants={1: np.array(1)}, upper=upper)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_cumulative_sum(exclusive: int, reverse: int) -> None:
    axis = {1: np.array(1)}
    assert_rule("CumSum", draw_normal(2, 4), constants=axis, exclusive=exclusive, reverse=reverse)


def square_in_type(to: int) -> Scored:
    """Square `x` after a cast."""
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=to, name="wider"),
        helper.make_node("Mul", ["a", "a"], ["b"]),
        helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT),
    ]
    return Scored(nodes, {"x": draw_normal(2, 3)}, {})


def test_cast_to_the_own_type_passes_the_gradient() -> None:
    plain = Scored([helper.make_node("Mul", ["x", "x"], ["y"])], {"x": draw_normal(2, 3)}, {})
    gradient = square_in_type(TensorProto.FLOAT).compute_gradients(np.float32)["x"]
    np.testing.assert_array_equal(gradient, plain.compute_gradients(np.float32)["x"])


def test_cast_to_another_type_is_refused() -> None:
    with pytest.raises(GradientError, match=r"'wider' \(Cast\).*converts to double"):
        square_in_type(TensorProto.DOUBLE).compute_gradients(np.float32)
