"""Shapes and small values of a graph's tensors are known without a session."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from onnxplain.graph.load import read_model
from onnxplain.graph.shapes import (
    Dims,
    ShapeMismatch,
    Shapes,
    fill_open_dims,
    list_fed_inputs,
    read_declared_dims,
)
from tests.conftest import shared
from tests.helpers import models

node = helper.make_node
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def follow(proto: ModelProto, **options: Any) -> Shapes:
    shapes = Shapes.of_inputs(proto, **options)
    for inner in proto.graph.node:
        shapes.step(inner)
    return shapes


def test_shapes_are_those_that_onnx_infers_for_the_whole_graph() -> None:
    model = read_model(shared("models/mobilenet_v1_0.25_128_quant.onnx"))
    whole = onnx.shape_inference.infer_shapes(model.proto, data_prop=True)
    for value in whole.graph.value_info:
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        assert np.array_equal(model.shapes.dims(value.name), dims)


@pytest.mark.parametrize(("batch", "size"), [(1, (16, 16)), (5, (24, 32))])
def test_shapes_are_those_of_the_tensors_in_onnx_runtime(batch: int, size: tuple[int, int]) -> None:
    proto = models.convnet(size)
    names = [name for inner in proto.graph.node for name in inner.output]
    shapes = follow(proto, batch=batch)
    with_outputs = ModelProto()
    with_outputs.CopyFrom(proto)
    with_outputs.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names[:-1])
    session = ort.InferenceSession(
        with_outputs.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    values = session.run(names, {"image": np.zeros((batch, 3, *size), np.float32)})
    assert [shapes.dims(name) for name in names] == [value.shape for value in values]
    assert [shapes.bytes(name) for name in names] == [value.nbytes for value in values]


def test_values_that_make_up_shapes_are_computed() -> None:
    """The shape (N, 3, H, W) of the input becomes [N, H * W * 3] through four operators."""
    proto = models.model(
        [
            node("Shape", ["image"], ["shape"]),
            node("Slice", ["shape", "one", "four"], ["sides"]),
            node("ReduceProd", ["sides"], ["product"], keepdims=1),
            node("Gather", ["shape", "zero"], ["batch"]),
            node("Concat", ["batch", "product"], ["target"], axis=0),
            node("Reshape", ["image", "target"], ["scores"]),
        ],
        {"image": (FLOAT, ["N", 3, "H", "W"])},
        {"scores": (FLOAT, ["N", "D"])},
        {"zero": np.array([0]), "one": np.array([1]), "four": np.array([4])},
    )
    shapes = follow(proto, batch=2, size=(8, 6))
    np.testing.assert_array_equal(shapes.values["target"], [2, 144])
    assert shapes.dims("scores") == (2, 144)
    assert shapes.count("scores") == 288


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.arange(1024), True),
        (np.arange(1025), False),
        (np.ones(16, np.float32), True),
        (np.ones(17, np.float32), False),
    ],
)
def test_only_small_values_are_kept(value: NDArray[Any], kept: bool) -> None:
    proto = models.convnet()
    proto.graph.initializer.append(onnx.numpy_helper.from_array(value, "value"))
    assert ("value" in Shapes.of_inputs(proto).values) == kept


def test_inputs_that_do_not_fit_one_another_are_a_mismatch() -> None:
    shapes = Shapes({"": 17})
    shapes.set("a", FLOAT, (2, 3))
    shapes.set("b", FLOAT, (4, 5))
    with pytest.raises(ShapeMismatch):
        shapes.step(node("MatMul", ["a", "b"], ["c"]))
    assert shapes.dims("c") is shapes.count("c") is shapes.bytes("c") is None


def test_fused_operators_have_the_shape_of_the_standard_one() -> None:
    shapes = Shapes({"": 17, "com.microsoft": 1})
    shapes.set("x", FLOAT, (2, 3))
    shapes.step(node("QuickGelu", ["x"], ["y"], domain="com.microsoft"))
    assert shapes.dims("y") == (2, 3)


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        (None, None),
        ((), ()),
        ((None, None, None, 3), (2, 20, 30, 3)),
        ((1, 3, None, 64), (2, 3, 20, 64)),
        ((4, 3, 8, 8), (4, 3, 8, 8)),
        ((None, None), (2, 224)),
    ],
)
def test_open_dims_of_an_input_are_filled(dims: Dims | None, expected: Dims | None) -> None:
    assert fill_open_dims(dims, batch=2, size=(20, 30)) == expected


@pytest.mark.parametrize("batch", ["N", 0, -1])
def test_open_dims_are_none_however_the_file_writes_them(batch: int | str) -> None:
    assert read_declared_dims(models.convnet(batch=batch).graph.input[0]) == (None, 3, 16, 16)


def test_stored_tensors_need_not_be_fed() -> None:
    proto = models.convnet()
    for tensor in proto.graph.initializer:
        proto.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    assert [value.name for value in list_fed_inputs(proto.graph)] == ["image"]
