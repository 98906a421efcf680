"""Rules of operators that pick or add places along axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from onnxplain.gradient import GradientError
from tests.helpers.gradients import Scored, assert_right, assert_rule, draw_normal, ints


@given(start=st.integers(-7, 7), stop=st.integers(-8, 8), step=st.sampled_from([1, 2, 3, -1, -2]))
@settings(max_examples=40, deadline=None)
def test_slice_with_any_bounds_and_step(start: int, stop: int, step: int) -> None:
    taken = range(6)[start:stop:step]
    if not taken:
        return
    constants = {1: ints(start), 2: ints(stop), 3: ints(1), 4: ints(step)}
    assert_rule("Slice", draw_normal(2, 6, 3), constants=constants, grows=True)


def test_slice_to_the_very_end_and_backwards_to_the_start() -> None:
    far = np.iinfo(np.int64)
    forward = {1: ints(1), 2: ints(far.max), 3: ints(-1)}
    assert_rule("Slice", draw_normal(2, 6), constants=forward)
    backward = {1: ints(-1), 2: ints(far.min), 3: ints(1), 4: ints(-1)}
    assert_rule("Slice", draw_normal(2, 6), constants=backward)


def test_slice_of_several_axes() -> None:
    constants = {1: ints(1, 0), 2: ints(3, 5), 3: ints(2, 1), 4: ints(1, 2)}
    assert_rule("Slice", draw_normal(2, 6, 4), constants=constants)


def test_slice_along_the_batch_is_refused() -> None:
    node = helper.make_node("Slice", ["x", "a", "b"], ["y"], name="half")
    scored = Scored([node], {"x": draw_normal(4, 3)}, {"a": ints(0), "b": ints(2)}, grows=True)
    with pytest.raises(GradientError, match=r"'half' \(Slice\).*grows with the batch"):
        scored.compute_gradients(np.float32)


INDICES = {
    "a number": np.array(2),
    "a negative number": np.array(-1),
    "some entries once": ints(3, 0, -2),
    "some entries twice": ints(1, 1, 3, 0, 1),
    "a table": np.array([[0, 3], [3, 1]]),
    "a table without repetition": np.array([[0, 3], [2, 1]]),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather(index: np.ndarray, axis: int) -> None:
    assert_rule("Gather", draw_normal(4, 4, 4), constants={1: index}, axis=axis)


@pytest.mark.parametrize("axis", [1, 2])
def test_gather_at_places_that_the_image_chooses(axis: int) -> None:
    nodes = [
        helper.make_node("ArgMax", ["x"], ["at"], axis=1, keepdims=0),
        helper.make_node("Gather", ["x", "at"], ["y"], axis=axis),
    ]
    assert_right(Scored(nodes, {"x": draw_normal(2, 4, 4)}, {}))


def test_gather_along_an_axis_that_grows_with_the_batch() -> None:
    """As torch exports strided views: a tensor in one row, and places computed at run time."""
    nodes = [
        helper.make_node("Reshape", ["x", "row"], ["flat"]),
        helper.make_node("Size", ["x"], ["size"]),
        helper.make_node("Sub", ["size", "one"], ["last"]),
        helper.make_node("Range", ["last", "before", "before"], ["backwards"]),
        helper.make_node("Gather", ["flat", "backwards"], ["turned"]),
        helper.make_node("Reshape", ["turned", "table"], ["y"]),
    ]
    constants = {"row": ints(-1), "table": ints(-1, 3), "one": np.array(1), "before": np.array(-1)}
    assert_right(Scored(nodes, {"x": draw_normal(2, 3)}, constants, grows=True))


def test_gather_elements_and_nd() -> None:
    index = np.array([[0, 2, 2], [1, 0, 0]])
    assert_rule("GatherElements", draw_normal(2, 3), constants={1: index}, axis=1)
    places = np.array([[0, 1], [1, 2], [0, 1]])
    assert_rule("GatherND", draw_normal(2, 3, 2), constants={1: places})


@given(
    pads=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    mode=st.sampled_from(["constant", "reflect", "edge"]),
)
@settings(max_examples=25, deadline=None)
def test_pad(pads: list[int], mode: str) -> None:
    top, left, bottom, right = pads
    both = {1: ints(0, 0, top, left, 0, 0, bottom, right)}
    assert_rule("Pad", draw_normal(2, 1, 4, 5), constants=both, mode=mode, grows=True)


def test_pad_by_wrapping_around() -> None:
    constants = {1: ints(0, 2, 0, 1)}
    assert_rule("Pad", draw_normal(2, 5), constants=constants, mode="wrap", opset=19)


def test_pad_with_a_value_that_depends_on_the_image_is_refused() -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Pad", ["x", "p", "mean"], ["y"]),
    ]
    scored = Scored(nodes, {"x": draw_normal(2, 6)}, {"p": ints(0, 1, 0, 1)})
    with pytest.raises(GradientError, match=r"'y' \(Pad\).*pads with depends on the image"):
        scored.compute_gradients(np.float32)


def test_places_cut_off_by_negative_pads_have_no_gradient() -> None:
    model = [helper.make_node("Pad", ["x", "p"], ["y"])]
    scored = Scored(model, {"x": draw_normal(2, 6)}, {"p": ints(0, 1, 0, -2)})
    gradient = scored.compute_gradients(np.float32)["x"]
    np.testing.assert_array_equal(gradient[:, 4:], 0)
    assert np.all(gradient[:, :4] != 0)


@pytest.mark.parametrize("reduction", ["none", "add"])
def test_scatter_nd_by_data_and_updates(reduction: str) -> None:
    places = np.array([[0, 1], [1, 2], [1, 0]])
    data, updates = draw_normal(2, 3, 2), draw_normal(3, 2)
    assert_rule("ScatterND", data, updates, constants={1: places}, reduction=reduction)


def test_scatter_nd_adds_at_one_place_twice() -> None:
    places = np.array([[1], [1], [0]])
    data, updates = draw_normal(3, 2), draw_normal(3, 2)
    assert_rule("ScatterND", data, updates, constants={1: places}, reduction="add")


@pytest.mark.parametrize("reduction", ["none", "add"])
@pytest.mark.parametrize("axis", [0, 1])
def test_scatter_elements_by_data_and_updates(reduction: str, axis: int) -> None:
    places = np.array([[0, 2, 1], [1, 0, 2]])  # all along the other axis, as the evaluator wants
    constants = {1: places if axis == 0 else places.T}
    data, updates = draw_normal(3, 3), draw_normal(*constants[1].shape)
    assert_rule(
        "ScatterElements", data, updates, constants=constants, axis=axis, reduction=reduction
    )


@pytest.mark.parametrize("operator", ["ScatterND", "ScatterElements"])
def test_scatter_that_multiplies_is_refused(operator: str) -> None:
    node = helper.make_node(operator, ["x", "at", "by"], ["y"], name="mix", reduction="mul")
    updates = draw_normal(1) if operator == "ScatterND" else draw_normal(1, 2)
    constants = {"at": np.array([[0, 1]]), "by": updates}
    scored = Scored([node], {"x": draw_normal(2, 3)}, constants)
    with pytest.raises(GradientError, match=rf"'mix' \({operator}\).*reduction is 'mul'"):
        scored.compute_gradients(np.float32)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_top_k_by_its_values(axis: int, largest: int) -> None:
    nodes = [helper.make_node("TopK", ["x", "k"], ["y", "at"], axis=axis, largest=largest)]
    assert_right(Scored(nodes, {"x": draw_normal(4, 3, 5)}, {"k": ints(2)}))


def test_places_of_top_k_carry_no_gradient() -> None:
    """As in models that gather the tokens with the largest scores."""
    nodes = [
        helper.make_node("TopK", ["x", "k"], ["largest", "at"], axis=1),
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("GatherElements", ["square", "at"], ["taken"], axis=1),
        helper.make_node("Add", ["taken", "largest"], ["y"]),
    ]
    assert_right(Scored(nodes, {"x": draw_normal(3, 5)}, {"k": ints(2)}, grows=True))
