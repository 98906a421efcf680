"""Where the real CUDA provider places the nodes of mask graphs, gradients and exports."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from typing import Any, get_args

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxplain.core.errors import DeviceError, ModelError
from onnxplain.core.spec import ChannelOrder, DType, ModelSpec
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec
from onnxplain.describe.resolve import resolve_spec
from onnxplain.graph.load import ModelFile, read_model
from onnxplain.graph.mask_graphs import Entry, build_mask_graph
from onnxplain.graph.picture_graph import build_picture_graph
from onnxplain.loading import find_model
from onnxplain.masks.codes import CodeFamily
from onnxplain.runtime.batch_support import find_batch_support, open_batched
from onnxplain.runtime.device import Device
from onnxplain.runtime.gradient_building import build_gradient_model
from onnxplain.runtime.inpainters.input_graph import build_input_graph
from onnxplain.runtime.session import Session, open_session
from onnxplain.zoo.catalogue import list_models
from tests.conftest import shared
from tests.helpers import models
from tests.runtime.inpainters.test_input_graph import SPECS

CUDA = Device("cuda")
# Computing shapes on the CPU is right: they are needed there.
SHAPES = {"Shape", "Gather", "Slice", "Concat", "Cast", "Range", "Squeeze", "Unsqueeze", "Mul"}


def list_on_cpu(session: Session) -> Counter[str]:
    parts = session._raws.first.get_provider_graph_assignment_info()
    on_cpu = (part.get_nodes() for part in parts if part.ep_name.startswith("CPU"))
    return Counter(node.op_type for nodes in on_cpu for node in nodes)


@pytest.mark.parametrize("family", get_args(CodeFamily))
def test_mask_graphs_run_on_the_device(family: Any) -> None:
    for layout, dtype in itertools.product(("nchw", "nhwc"), get_args(DType)):
        graph = build_mask_graph(family, layout, 3, dtype=dtype)
        session = open_session(graph.SerializeToString(), CUDA, name=family)
        on_cpu = list_on_cpu(session)
        assert set(on_cpu) <= (SHAPES if family == "patch" else set())
        assert on_cpu.total() <= 4
        assert session.placement["CUDAExecutionProvider"] >= 3


@pytest.mark.parametrize("colour", get_args(ChannelOrder))
def test_graphs_of_pictures_run_on_the_device(colour: Any) -> None:
    """Into the masks' graph, and out of an inpainter; nothing is left to the CPU."""
    grey = colour == "grey"
    entry = Entry(colour, (2.0,) * (1 if grey else 3), (0.5,) * (1 if grey else 3))
    for layout, dtype in itertools.product(("nchw", "nhwc"), get_args(DType)):
        graphs = [
            build_mask_graph("pixels", layout, len(entry.gain), dtype=dtype, entry=entry),
            build_picture_graph(layout, dtype, (30, 40), span=(0, 255), reverse=colour == "bgr"),
        ]
        for graph in graphs:
            session = open_session(graph.SerializeToString(), CUDA, name="pictures")
            assert set(session.placement) == {"CUDAExecutionProvider"}


@pytest.mark.parametrize("name", SPECS)
def test_inputs_of_inpainters_are_made_on_the_device(name: str) -> None:
    session = open_session(build_input_graph(InpainterSpec(**SPECS[name])), CUDA, name=name)
    assert set(list_on_cpu(session)) <= {"Shape"}


def read(name: str) -> tuple[ModelFile, ModelSpec]:
    file = read_model(shared(name) if "/" in name else find_model(name))
    try:
        return file, resolve_spec(file, {})
    except ModelError:  # nothing says how it wants its images
        return file, resolve_spec(file, {"preprocessing": "torchvision"})


def open_gradient(file: ModelFile, spec: ModelSpec) -> Session:
    content = build_gradient_model(file, spec, kind="log-odds")
    return open_session(content, CUDA, name=file.path.name)


@pytest.mark.parametrize(
    "name",
    [
        *(model.name for model in list_models() if model.kind == "classifier"),
        "models/fer-keras-minixception.onnx",
        "models/fer_quant.onnx",
        "models/squeezenet-places365.onnx",
    ],
)
def test_gradients_leave_nothing_heavy_to_the_cpu(name: str) -> None:
    session = open_gradient(*read(name))
    on_cpu = list_on_cpu(session)
    assert set(on_cpu) <= SHAPES
    assert on_cpu.total() <= 2
    assert session.provenance["heavy_on_cpu"] == {}
    assert session.placement["CUDAExecutionProvider"] >= 50


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet-lite0",
        "inpainter",
        "models/fer_quant.onnx",
        "models/mobilenet_v1_0.25_128_quant.onnx",
        "models/mobilenet_v2_1.0_224_quant.onnx",
        "models/squeezenet-places365.onnx",
        "models/fer-keras-minixception.onnx",
        "models/ffc-unet-128.onnx",
        "models/stlpips-alex.onnx",
    ],
)
def test_exports_leave_nothing_but_shapes_to_the_cpu(name: str) -> None:
    """Quantised ones too, whose biases of int32 CUDA cannot dequantise: it is done at loading."""
    file = read_model(shared(name) if "/" in name else find_model(name))
    session = open_session(file.content, CUDA, name=name)
    assert set(list_on_cpu(session)) <= SHAPES | {"Where", "Equal", "ConstantOfShape", "Add", "Div"}


def test_a_fourier_transform_on_the_cpu_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    name = "models/ffc-unet-128-dft.onnx"
    session = open_session(read_model(shared(name)).content, CUDA, name=name)
    assert "8 DFT, which run on the CPU, with copies between" in caplog.text
    assert session.provenance["heavy_on_cpu"] == {"DFT": 8}


def test_a_rewritten_batch_keeps_its_placement() -> None:
    file, spec = read("models/squeezenet-places365.onnx")
    session = open_batched(file, spec, find_batch_support(file, spec), CUDA)
    assert not list_on_cpu(session)


def make_integer_convolution() -> ModelProto:
    """A convolution of integers, for which CUDA has no kernel."""
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.UINT8, ["N", 4, 8, 8])
    constants = {
        "w": np.zeros((4, 3, 3, 3), np.uint8),
        "scale": np.float32(0.1),
        "zero": np.uint8(0),
    }
    inputs = ["x", "scale", "zero", "w", "scale", "zero", "scale", "zero"]
    node = helper.make_node("QLinearConv", inputs, ["y"], pads=[1, 1, 1, 1])
    stored = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    graph = helper.make_graph([node], "integers", [x], [y], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_model_that_would_run_on_the_cpu_alone_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = make_integer_convolution().SerializeToString()
    with pytest.raises(DeviceError, match=r"--device cuda cannot run net: .* 1 QLinearConv; use"):
        open_session(content, CUDA, name="net")
    with caplog.at_level(logging.WARNING):
        session = open_session(content, Device("auto"), name="net")
    assert session.device == Device("cpu")
    assert "device auto: cpu (--device cuda cannot run net" in caplog.text


def test_the_record_names_the_gpu_and_all_that_ran() -> None:
    session = open_session(models.convnet((16, 16)).SerializeToString(), CUDA, name="net")
    record = session.provenance
    facts = {key: record[key] for key in ("device", "provider", "gpu", "driver", "cudnn", "tf32")}
    assert facts == {
        "device": "cuda",
        "provider": "CUDAExecutionProvider",
        "gpu": "Fake GPU",
        "driver": "CUDA 13.1",
        "cudnn": "9.28.0",
        "tf32": False,
    }
    assert record["cuda"].startswith("13.")
    assert record["placement"] == {"CUDAExecutionProvider": 8}
