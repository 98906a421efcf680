"""What is measured of a graph, and models brought to what is measured."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxplain.gradient import Facts, GradientError, measure_facts
from onnxplain.gradient.prepare import prepare
from tests.helpers.gradients import Plain, ints, make_model, normal


def measured(sizes: tuple[int, ...] = (2, 3)) -> Facts:
    """Of a model with windows, a computed bound, a scalar and a value that is data."""
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
    feeds = [{"x": normal(n, 4, seed=n).astype("f")} for n in sizes]
    model = make_model(nodes, feeds[0], constants, ["total"])
    return measure_facts(model, Plain(), feeds, np.dtype(np.float32))


def test_dimensions_that_differ_between_two_batch_sizes_grow() -> None:
    facts = measured()
    assert facts.shapes["x"] == (None, 4)
    assert facts.shapes["windows"] == (None, 2)
    assert facts.shapes["total"] == ()
    assert facts.shapes["pairs"] == (2,)


def test_only_an_axis_as_long_as_the_batch_is_the_batch() -> None:
    assert {"x", "cut", "at"} <= measured().rows
    assert "windows" not in measured().rows


def test_one_batch_size_makes_every_dimension_fixed() -> None:
    facts = measured((1,))
    assert facts.shapes["windows"] == (2, 2)
    assert facts.rows == set()


def test_bounds_computed_from_shapes_are_constants_and_data_is_not() -> None:
    facts = measured()
    np.testing.assert_array_equal(facts.constants["stop"], [4])
    assert "at" not in facts.constants


def test_one_example_does_not_make_a_constant_of_data() -> None:
    facts = measured((1,))
    np.testing.assert_array_equal(facts.constants["stop"], [4])
    assert "at" not in facts.constants


def test_large_constants_are_not_read() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    feeds = {"x": normal(2, 100).astype("f")}
    model = make_model(nodes, feeds, {"w": normal(100, 100).astype("f")}, ["y"])
    facts = measure_facts(model, Plain(), [feeds], np.dtype(np.float32))
    assert facts.shapes["w"] == (100, 100)
    assert "w" not in facts.constants


def test_functions_of_a_model_are_inlined() -> None:
    twice = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
    call = helper.make_node("Twice", ["x"], ["y"], domain="mine")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    graph = helper.make_graph([call], "g", [x], [y])
    model = helper.make_model(graph, functions=[twice], opset_imports=opsets, ir_version=9)
    assert [node.op_type for node in prepare(model).graph.node] == ["Add"]


def test_an_old_model_that_cannot_be_converted_is_refused_with_advice() -> None:
    nodes = [helper.make_node("Odd", ["x"], ["y"])]
    model = make_model(nodes, {"x": normal(1, 2).astype("f")}, {}, ["y"], opset=9)
    with pytest.raises(GradientError, match=r"opset 9 .*export it with opset 17"):
        prepare(model)


def test_preparing_leaves_the_model_itself_alone() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    model = make_model(nodes, {"x": normal(1, 2).astype(np.float16)}, {}, ["y"], opset=13)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float16), "w"))
    before = onnx.ModelProto()
    before.CopyFrom(model)
    prepare(model)
    assert model == before
