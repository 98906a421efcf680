"""Models that ONNX Runtime optimised or quantised have the shapes that it computes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from onnxplain.graph.bounds import Bounds, count_work
from onnxplain.graph.load import read_model
from onnxplain.graph.shapes import ShapeMismatch, Shapes
from onnxplain.graph.stand_ins import NCHWC, STAND_INS
from tests.conftest import shared
from tests.helpers import models

node = helper.make_node
LEVELS = ort.GraphOptimizationLevel


def optimise(proto: ModelProto, level: LEVELS, path: Path) -> ModelProto:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4  # it warns that the file is for this machine
    ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(path)


def make_attention() -> ModelProto:
    """Make a network with a product of transposed matrices and a residual of convolutions."""
    rng = np.random.default_rng(0)
    return models.model(
        [
            node("Conv", ["image", "w1"], ["c1"], pads=[1, 1, 1, 1]),
            node("Relu", ["c1"], ["r1"]),
            node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
            node("Add", ["c2", "r1"], ["sum"]),
            node("Relu", ["sum"], ["r2"]),
            node("MaxPool", ["r2"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Sigmoid", ["pooled"], ["gate"]),
            node("Mul", ["pooled", "gate"], ["gated"]),
            node("Reshape", ["gated", "tokens"], ["t"]),
            node("Transpose", ["t"], ["turned"], perm=[0, 2, 1]),
            node("MatMul", ["t", "turned"], ["square"]),
            node("Softmax", ["square"], ["weights"], axis=-1),
            node("MatMul", ["weights", "t"], ["mixed"]),
            node("Flatten", ["mixed"], ["flat"]),
            node("Gemm", ["flat", "w3"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, [1, 3, 8, 8])},
        {"scores": (TensorProto.FLOAT, [1, 4])},
        {
            "w1": rng.normal(size=(12, 3, 3, 3)).astype(np.float32),
            "w2": rng.normal(size=(12, 12, 3, 3)).astype(np.float32),
            "w3": rng.normal(size=(192, 4)).astype(np.float32),
            "tokens": np.array([1, 12, 16]),
        },
    )


@pytest.mark.parametrize("level", [LEVELS.ORT_ENABLE_EXTENDED, LEVELS.ORT_ENABLE_ALL])
@pytest.mark.parametrize("name", ["attention", "mobilenet_v1_0.25_128_quant.onnx"])
def test_optimised_models_are_read_with_the_shapes_of_the_runtime(
    name: str, level: LEVELS, tmp_path: Path
) -> None:
    proto = make_attention() if name == "attention" else onnx.load(shared(f"models/{name}"))
    optimised = optimise(proto, level, tmp_path / "optimised.onnx")
    own = {inner.op_type for inner in optimised.graph.node if inner.domain}
    assert own, "the runtime wrote no operators of its own"
    shapes = read_model(tmp_path / "optimised.onnx").shapes
    names = [name for inner in optimised.graph.node for name in inner.output if name]
    (image,) = [value for value in proto.graph.input if value.type.tensor_type.shape.dim]
    dims = [dim.dim_value or 1 for dim in image.type.tensor_type.shape.dim]
    dtype = helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type)
    declared = {value.name for value in optimised.graph.output}
    optimised.graph.output.extend(
        ValueInfoProto(name=name) for name in names if name not in declared
    )
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        optimised.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    made = session.run(names, {image.name: np.zeros(dims, dtype)})
    for name, array in zip(names, made, strict=True):
        known = shapes.dims(name)
        assert known is not None, name
        # Channels of blocks are padded, which only the weights show.
        assert known == array.shape or np.prod(array.shape) <= 2 * np.prod(known), name
    assert shapes.dims(names[-1]) == made[-1].shape


@pytest.mark.parametrize("domain", ["com.microsoft", "com.microsoft.nchwc"])
@pytest.mark.parametrize("op", sorted({*STAND_INS, *NCHWC}))
@pytest.mark.parametrize("inputs", [[], [""], ["a"], ["a", ""], ["", "a"]])
def test_operators_without_their_inputs_have_no_known_shape(
    op: str, domain: str, inputs: list[str]
) -> None:
    """ONNX's checker does not know them, so nobody counted their inputs."""
    shapes, bounds = Shapes({"": 17, domain: 1}), Bounds()
    shapes.set("a", TensorProto.FLOAT, (1, 2, 4, 4))
    for outputs in ([], ["y"]):
        odd = node(op, inputs, outputs, domain=domain, transA=1, transB=1, channels_last=1)
        with contextlib.suppress(ShapeMismatch):
            shapes.step(odd)
        bounds.step(odd, shapes)
        assert count_work(odd, shapes, bounds) >= 0
