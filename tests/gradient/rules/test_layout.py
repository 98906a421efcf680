"""Rules of operators that move, pick and place values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from onnxplain.gradient import GradientError
from tests.helpers.gradients import Scored, assert_right, assert_rule, ints, normal


def test_reshape_with_a_growing_batch() -> None:
    assert_rule("Reshape", normal(2, 3, 4), constants={1: ints(0, -1)}, grows=True)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flatten(axis: int) -> None:
    assert_rule("Flatten", normal(2, 3, 4), axis=axis)


def test_squeeze_and_unsqueeze() -> None:
    assert_rule("Squeeze", normal(2, 1, 4), constants={1: ints(1)}, grows=True)
    assert_rule("Unsqueeze", normal(2, 4), constants={1: ints(-1, 1)}, grows=True)


@given(order=st.permutations(range(4)))
@settings(max_examples=10, deadline=None)
def test_transpose(order: list[int]) -> None:
    assert_rule("Transpose", normal(2, 3, 4, 2), perm=order)


def test_transpose_without_an_order_reverses() -> None:
    assert_rule("Transpose", normal(2, 3, 4))


@pytest.mark.parametrize("axis", [1, -1])
def test_concat_of_variables_and_a_constant(axis: int) -> None:
    shapes = {1: [(2, 3, 4), (2, 5, 4)], -1: [(2, 3, 4), (2, 3, 1)]}[axis]
    first, last = (normal(*shape, seed=k) for k, shape in enumerate(shapes))
    assert_rule("Concat", first, last, constants={1: first + 1}, axis=axis)


def test_split_of_which_one_part_is_unused() -> None:
    nodes = [
        helper.make_node("Split", ["x", "sizes"], ["a", "b", "c"], axis=1),
        helper.make_node("Concat", ["a", "c"], ["y"], axis=1),
    ]
    assert_right(Scored(nodes, {"x": normal(2, 6, 2)}, {"sizes": ints(1, 3, 2)}, grows=True))


@given(shapes=st.sampled_from([((3, 1), (2, 3, 4)), ((1, 4), (5, 1)), ((2, 1, 3), (2, 4, 3))]))
@settings(max_examples=6, deadline=None)
def test_expand(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    assert_rule("Expand", normal(*shapes[0]), constants={1: ints(*shapes[1])})


@given(repeats=st.lists(st.integers(1, 3), min_size=3, max_size=3))
@settings(max_examples=8, deadline=None)
def test_tile(repeats: list[int]) -> None:
    assert_rule("Tile", normal(2, 3, 2), constants={1: ints(*repeats)})


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    assert_rule("DepthToSpace", normal(2, 8, 2, 3), blocksize=2, mode=mode, grows=True)


def test_space_to_depth() -> None:
    assert_rule("SpaceToDepth", normal(2, 2, 4, 6), blocksize=2, grows=True)


@pytest.mark.parametrize("upper", [0, 1])
def test_triangle(upper: int) -> None:
    assert_rule("Trilu", normal(2, 4, 5), constants={1: np.array(1)}, upper=upper)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_cumulative_sum(exclusive: int, reverse: int) -> None:
    axis = {1: np.array(1)}
    assert_rule("CumSum", normal(2, 4), constants=axis, exclusive=exclusive, reverse=reverse)


@given(start=st.integers(-7, 7), stop=st.integers(-8, 8), step=st.sampled_from([1, 2, 3, -1, -2]))
@settings(max_examples=40, deadline=None)
def test_slice_with_any_bounds_and_step(start: int, stop: int, step: int) -> None:
    taken = range(6)[start:stop:step]
    if not taken:
        return
    constants = {1: ints(start), 2: ints(stop), 3: ints(1), 4: ints(step)}
    assert_rule("Slice", normal(2, 6, 3), constants=constants, grows=True)


def test_slice_to_the_very_end_and_from_the_start_backwards() -> None:
    far = np.iinfo(np.int64)
    forward = {1: ints(1), 2: ints(far.max), 3: ints(-1)}
    assert_rule("Slice", normal(2, 6), constants=forward)
    backward = {1: ints(-1), 2: ints(far.min), 3: ints(1), 4: ints(-1)}
    assert_rule("Slice", normal(2, 6), constants=backward)


def test_slice_of_several_axes() -> None:
    constants = {1: ints(1, 0), 2: ints(3, 5), 3: ints(2, 1), 4: ints(1, 2)}
    assert_rule("Slice", normal(2, 6, 4), constants=constants)


INDICES = {
    "one": np.array(2),
    "the last": np.array(-1),
    "some, once each": ints(3, 0, -2),
    "some twice": ints(1, 1, 3, 0, 1),
    "a table": np.array([[0, 3], [3, 1]]),
    "a table of different ones": np.array([[0, 3], [2, 1]]),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather(index: np.ndarray, axis: int) -> None:
    assert_rule("Gather", normal(4, 4, 4), constants={1: index}, axis=axis)


@pytest.mark.parametrize("axis", [1, 2])
def test_gather_at_places_found_when_it_runs(axis: int) -> None:
    nodes = [
        helper.make_node("ArgMax", ["x"], ["at"], axis=1, keepdims=0),
        helper.make_node("Gather", ["x", "at"], ["y"], axis=axis),
    ]
    assert_right(Scored(nodes, {"x": normal(2, 4, 4)}, {}))


def test_gather_along_an_axis_that_grows_with_the_batch() -> None:
    """As torch exports strided views: all of a tensor in a row, and places found when it runs."""
    nodes = [
        helper.make_node("Reshape", ["x", "row"], ["flat"]),
        helper.make_node("Size", ["x"], ["size"]),
        helper.make_node("Sub", ["size", "one"], ["last"]),
        helper.make_node("Range", ["last", "before", "before"], ["backwards"]),
        helper.make_node("Gather", ["flat", "backwards"], ["turned"]),
        helper.make_node("Reshape", ["turned", "table"], ["y"]),
    ]
    constants = {"row": ints(-1), "table": ints(-1, 3), "one": np.array(1), "before": np.array(-1)}
    assert_right(Scored(nodes, {"x": normal(2, 3)}, constants, grows=True))


def test_gather_elements_and_nd() -> None:
    index = np.array([[0, 2, 2], [1, 0, 0]])
    assert_rule("GatherElements", normal(2, 3), constants={1: index}, axis=1)
    places = np.array([[0, 1], [1, 2], [0, 1]])
    assert_rule("GatherND", normal(2, 3, 2), constants={1: places})


@given(
    pads=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    mode=st.sampled_from(["constant", "reflect", "edge"]),
)
@settings(max_examples=25, deadline=None)
def test_pad(pads: list[int], mode: str) -> None:
    top, left, bottom, right = pads
    both = {1: ints(0, 0, top, left, 0, 0, bottom, right)}
    assert_rule("Pad", normal(2, 1, 4, 5), constants=both, mode=mode, grows=True)


def test_pad_by_wrapping_around() -> None:
    constants = {1: ints(0, 2, 0, 1)}
    assert_rule("Pad", normal(2, 5), constants=constants, mode="wrap", opset=19)


def test_negative_pads_cut_off() -> None:
    model = [helper.make_node("Pad", ["x", "p"], ["y"])]
    scored = Scored(model, {"x": normal(2, 6)}, {"p": ints(0, 1, 0, -2)})
    found = scored.gradients(np.float32)["x"]
    np.testing.assert_array_equal(found[:, 4:], 0)
    assert np.all(found[:, :4] != 0)


def cast_squared(to: int) -> Scored:
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=to, name="wider"),
        helper.make_node("Mul", ["a", "a"], ["b"]),
        helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT),
    ]
    return Scored(nodes, {"x": normal(2, 3)}, {})


def test_a_cast_to_the_type_that_a_number_has_passes_the_gradient() -> None:
    plain = Scored([helper.make_node("Mul", ["x", "x"], ["y"])], {"x": normal(2, 3)}, {})
    found = cast_squared(TensorProto.FLOAT).gradients(np.float32)["x"]
    np.testing.assert_array_equal(found, plain.gradients(np.float32)["x"])


def test_a_cast_to_another_type_is_refused() -> None:
    with pytest.raises(GradientError, match=r"'wider' \(Cast\).*converts to double"):
        cast_squared(TensorProto.DOUBLE).gradients(np.float32)


def test_a_slice_along_the_batch_is_refused() -> None:
    node = helper.make_node("Slice", ["x", "a", "b"], ["y"], name="half")
    scored = Scored([node], {"x": normal(4, 3)}, {"a": ints(0), "b": ints(2)}, grows=True)
    with pytest.raises(GradientError, match=r"'half' \(Slice\).*grows with the batch"):
        scored.gradients(np.float32)
