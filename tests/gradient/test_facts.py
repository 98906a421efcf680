"""Shapes and constants that are measured of a graph."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxplain.gradient import Facts, GradientError, GradientRequest, build_gradient, measure_facts
from onnxplain.gradient.facts import read_real_type, read_stored_tensors
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers.gradient_networks import CLASSES, DX, make_relu_network, run_gradient
from tests.helpers.gradients import PlainMeasure, draw_normal, ints, make_model


def measure_example(sizes: tuple[int, ...] = (2, 3)) -> Facts:
    """Measure a model with windows, a computed bound, a scalar and a value that is data."""
    node = helper.make_node
    nodes = [
        node("Reshape", ["x", "pairs"], ["windows"]),
        node("Shape", ["x"], ["all"]),
        node("Gather", ["all", "one"], ["stop"], axis=0),
        node("Slice", ["x", "zero", "stop", "one"], ["cut"]),
        node("ArgMax", ["x"], ["at"], axis=1, keepdims=0),
        node("Gather", ["x", "at"], ["picked"], axis=1),
        node("ReduceSum", ["x"], ["total"], keepdims=0),
    ]
    constants = {"pairs": ints(-1, 2), "one": ints(1), "zero": ints(0)}
    feeds = [{"x": draw_normal(n, 4, seed=n).astype("f")} for n in sizes]
    model = make_model(nodes, feeds[0], constants, ["total"])
    return measure_facts(model, PlainMeasure(), feeds, np.dtype(np.float32))


def test_dimensions_that_differ_between_two_batch_sizes_grow() -> None:
    facts = measure_example()
    assert facts.shapes["x"] == (None, 4)
    assert facts.shapes["windows"] == (None, 2)
    assert facts.shapes["total"] == ()
    assert facts.shapes["pairs"] == (2,)


def test_only_an_axis_as_long_as_the_batch_is_the_batch() -> None:
    assert {"x", "cut", "at"} <= measure_example().rows
    assert "windows" not in measure_example().rows


def test_single_batch_size_fixes_every_dimension() -> None:
    facts = measure_example((1,))
    assert facts.shapes["windows"] == (2, 2)
    assert facts.rows == set()


def test_bounds_computed_from_shapes_are_constants_and_data_are_not() -> None:
    facts = measure_example()
    np.testing.assert_array_equal(facts.constants["stop"], [4])
    assert "at" not in facts.constants


def test_data_of_a_single_example_are_no_constants() -> None:
    facts = measure_example((1,))
    np.testing.assert_array_equal(facts.constants["stop"], [4])
    assert "at" not in facts.constants


def test_large_constants_are_not_read() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    feeds = {"x": draw_normal(2, 100).astype("f")}
    model = make_model(nodes, feeds, {"w": draw_normal(100, 100).astype("f")}, ["y"])
    facts = measure_facts(model, PlainMeasure(), [feeds], np.dtype(np.float32))
    assert facts.shapes["w"] == (100, 100)
    assert "w" not in facts.constants


def test_gradient_follows_the_row_that_the_image_chooses() -> None:
    """It is that of the row that this image's sums choose, not the example's."""
    node = helper.make_node
    nodes = [
        node("ReduceSum", ["x", "two"], ["sums"], keepdims=0),
        node("ArgMax", ["sums"], ["at"], axis=1, keepdims=0),
        node("Gather", ["x", "at"], ["row"], axis=1),
        node("Flatten", ["row"], ["y"]),
    ]
    x = np.zeros((1, 5, CLASSES), np.float32)
    x[0, 1] = 1
    model = make_model(nodes, {"x": x}, {"two": ints(2)}, ["y"])
    example = {"x": x[:, ::-1].copy()}
    request = GradientRequest("x", "y", kind="logit")
    gradient = build_gradient(model, request, RuntimeMeasure(), [example])
    expected = np.zeros_like(x)
    expected[0, 1, 2] = 1
    np.testing.assert_array_equal(run_gradient(gradient, x, [2])[DX], expected)


def test_images_of_whole_numbers_have_no_gradient() -> None:
    model = make_relu_network()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    with pytest.raises(GradientError, match="'x' holds uint8, which has no gradient"):
        build_gradient(model, GradientRequest("x", "y"), RuntimeMeasure(), [])


def test_unknown_input_is_refused_with_the_names_of_the_others() -> None:
    with pytest.raises(GradientError, match="no input named 'picture'; its inputs are x"):
        read_real_type(make_relu_network().graph, "picture")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_type_is_that_of_the_input(dtype: type) -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": np.zeros(2, dtype)}, {}, [])
    assert read_real_type(model.graph, "x") == dtype


def test_stored_tensors_are_initialisers_and_constant_nodes() -> None:
    nodes = [
        helper.make_node("Constant", [], ["list"], value_ints=[3, 4]),
        helper.make_node("Constant", [], ["number"], value_float=0.5),
    ]
    model = make_model(nodes, {}, {"matrix": np.ones((70, 70), np.float32)}, [])
    shapes, small = read_stored_tensors(model.graph)
    assert shapes == {"matrix": (70, 70), "list": (2,), "number": ()}
    np.testing.assert_array_equal(small["list"], [3, 4])
    assert (small["number"], "matrix" in small) == (0.5, False)
