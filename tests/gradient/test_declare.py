"""Declared shapes of forward tensors and of their gradients."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import GraphProto, TensorProto, helper

from onnxplain.gradient import Facts, GradientRequest
from onnxplain.gradient.declare import declare_shapes
from onnxplain.graph.shapes import read_type_dims
from onnxplain.graph.writer import GraphWriter
from tests.helpers.gradient_networks import build_network_gradient, draw_images, make_network
from tests.helpers.gradients import PlainMeasure, ints

FACTS = Facts({"x": (None, 3), "a": (None, 3), "s": (3,)}, {}, {"x", "a"}, np.dtype(np.float64))


def declare(gradients: dict[str, list[str]]) -> GraphProto:
    """Declare shapes in a graph whose nodes compute `a`, `s`, `d` and the output `y`."""
    writer = GraphWriter()
    writer.add_input("x", np.float64, ["batch", 3])
    for name in ("a", "s", "d", "y"):
        writer.op("Neg", "x", out=name)
    writer.add_output("y", np.float64, [None, 3])
    declare_shapes(writer.graph, FACTS, gradients)
    return writer.graph


def test_gradients_have_the_declared_shape_of_their_tensor() -> None:
    graph = declare({"a": ["d"], "s": []})
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in graph.value_info
    }
    assert shapes == {"a": ["N", 3], "d": ["N", 3], "s": [3]}
    assert {value.type.tensor_type.elem_type for value in graph.value_info} == {TensorProto.DOUBLE}


def test_batch_of_inputs_has_the_same_name() -> None:
    assert declare({}).input[0].type.tensor_type.shape.dim[0].dim_param == "N"


@pytest.mark.parametrize("name", ["y", "x", "elsewhere"])
def test_outputs_inputs_and_foreign_tensors_are_not_declared_again(name: str) -> None:
    assert not [value for value in declare({"a": [name]}).value_info if value.name == name]


def test_declared_shapes_are_those_of_a_run() -> None:
    gradient = build_network_gradient(make_network(), GradientRequest("x", "y"))
    declared = {value.name: read_type_dims(value.type) for value in gradient.graph.value_info}
    outputs = {value.name for value in gradient.graph.output}
    gradient.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in declared
    )
    feeds = {"x": draw_images(2), "target": ints(0, 1)}
    tensors = PlainMeasure().run(gradient.SerializeToString(), feeds)
    assert len(declared) > 10
    assert not outputs & declared.keys()
    for name, dims in declared.items():
        assert dims is not None
        assert tensors[name].shape == tuple(2 if dim is None else dim for dim in dims)
