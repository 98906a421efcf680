"""Graphs written by `GraphWriter` compute what was written, under names of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import GraphProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxplain.graph.names import rename_uses
from onnxplain.graph.writer import GraphWriter, declare_tensor, find_element_type


def scale_graph(factor: float, name: str = "product") -> GraphProto:
    """A graph that multiplies its input `x` by a stored factor."""
    return helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], [name]), helper.make_node("Neg", [name], ["y"])],
        "scale",
        [declare_tensor("x", np.float32, ["N"])],
        [declare_tensor("y", np.float32, ["N"])],
        [numpy_helper.from_array(np.array(factor, np.float32), "factor")],
    )


def evaluate(graph: GraphProto, **feeds: NDArray[Any]) -> list[NDArray[Any]]:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return ReferenceEvaluator(model).run(None, feeds)


def test_new_graph_computes_the_formula_that_was_written() -> None:
    writer = GraphWriter()
    a, b = (writer.add_input(name, np.float64, ["N", 2]) for name in "ab")
    low, high = writer.ops("Split", [a, writer.store(np.array([1, 1]))], 2, axis=1)
    gap = writer.op("Sub", high, low)
    writer.add_output("sum", np.float64, ["N", 2], source=writer.op("Add", gap, b))
    model = writer.build_model("formula", opset=17, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    feeds = {"a": np.array([[1.0, 5.0], [2.0, 3.0]]), "b": np.array([[1.0, 2.0], [3.0, 4.0]])}
    (total,) = ReferenceEvaluator(model).run(None, feeds)
    np.testing.assert_array_equal(total, [[5, 6], [4, 5]])
    assert (model.graph.name, model.opset_import[0].version, model.ir_version) == ("formula", 17, 8)


def test_nodes_and_their_outputs_are_named_by_operator_and_number() -> None:
    writer = GraphWriter(prefix="mine/")
    names = [writer.op("Relu", "x"), *writer.ops("Split", ["x"], 2), writer.op("Relu", "x")]
    assert names == ["mine/Relu_0", "mine/Split_1", "mine/Split_1:1", "mine/Relu_2"]
    assert [node.name for node in writer.graph.node] == ["mine/Relu_0", "mine/Split_1", names[-1]]


def test_given_names_stand_behind_the_prefix_and_exact_ones_leave_the_node_unnamed() -> None:
    writer = GraphWriter(prefix="mine/")
    assert writer.op("Relu", "x", name="clipped") == "mine/clipped"
    assert writer.store(np.zeros(1), "zero") == "mine/zero"
    assert writer.op("Relu", "x", out="y") == "y"
    assert [node.name for node in writer.graph.node] == ["mine/clipped", ""]


def test_equal_constants_are_stored_once() -> None:
    writer = GraphWriter()
    first = writer.store(np.array([1, 2]))
    assert writer.store(np.array([1, 2]), "again") == first
    assert len(writer.graph.initializer) == 1


@pytest.mark.parametrize(
    "other", [np.array([[1, 2]]), np.array([1, 2], np.int32), np.array([1, 3])], ids=str
)
def test_constants_of_other_shape_type_or_value_are_stored_apart(other: NDArray[Any]) -> None:
    writer = GraphWriter()
    assert writer.store(np.array([1, 2])) != writer.store(other)
    np.testing.assert_array_equal(numpy_helper.to_array(writer.graph.initializer[1]), other)


def test_writer_that_does_not_share_stores_every_constant() -> None:
    writer = GraphWriter(share=False)
    assert writer.store(np.array(1)) != writer.store(np.array(1))
    assert len(writer.graph.initializer) == 2


def test_names_in_use_are_avoided() -> None:
    graph = scale_graph(2, "mine/product")
    writer = GraphWriter(graph, prefix="mine/")
    assert writer.op("Relu", "x", name="product") == "_mine/product"
    assert GraphWriter(graph).find_name("factor") == "factor_"
    assert GraphWriter(taken={"mine/"}, prefix="mine/").prefix == "_mine/"


def test_a_name_that_was_written_is_in_use() -> None:
    writer = GraphWriter()
    assert writer.op("Relu", "x", name="a") == "a"
    assert writer.op("Relu", "x", name="a") == "a_"
    assert writer.store(np.array(1), "a") == "a__"


def test_nodes_written_in_front_see_the_input_first() -> None:
    """As a shift of the input: the nodes are in order and the others read their result."""
    graph = scale_graph(2)
    writer = GraphWriter(graph, at=0)
    shifted = writer.find_name("x_shifted")
    rename_uses(graph.node, "x", shifted)
    double = writer.op("Add", "x", "x")
    writer.op("Sub", double, writer.store(np.array(1, np.float32)), out=shifted)
    assert [node.op_type for node in graph.node] == ["Add", "Sub", "Mul", "Neg"]
    (y,) = evaluate(graph, x=np.array([1, 5], np.float32))
    np.testing.assert_array_equal(y, [-2, -18])


def test_nodes_are_appended_behind_those_of_an_existing_graph() -> None:
    graph = scale_graph(3)
    writer = GraphWriter(graph, prefix="more/")
    writer.add_output("z", np.float32, ["N"], source=writer.op("Abs", "y"))
    y, z = evaluate(graph, x=np.array([1, 2], np.float32))
    np.testing.assert_array_equal([y, z], [[-3, -6], [3, 6]])


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "uint8", "int32", "int64"])
def test_element_type_is_that_of_stored_arrays(dtype: str) -> None:
    assert find_element_type(dtype) == numpy_helper.from_array(np.zeros(1, dtype)).data_type
