"""Small ONNX classifiers whose inside can be seen."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper

from onnxplain.core.data import Attribution, Case, Image, Size
from onnxplain.core.flow import Method
from onnxplain.core.protocols import Fill
from onnxplain.core.spec import ModelSpec
from onnxplain.engine.run import collect_values, make_jobs
from onnxplain.engine.settle import settle_method
from onnxplain.fills.nothing import Nothing
from onnxplain.graph.load import ModelFile, read_model
from onnxplain.runtime import OnnxClassifier, open_classifier
from onnxplain.runtime.device import Device
from tests.helpers import models
from tests.helpers.specs import spec_of


def read_proto(model: ModelProto) -> ModelFile:
    """Read a model as it is read from a file."""
    with tempfile.TemporaryDirectory() as folder:
        return read_model(models.save(model, Path(folder) / "model.onnx"))


def open_model(model: ModelProto, spec: ModelSpec, batch_size: int = 4) -> OnnxClassifier:
    """Open a model as `load_classifier` does."""
    return open_classifier(read_proto(model), spec, device=Device("cpu"), batch_size=batch_size)


def add_softmax(model: ModelProto) -> ModelProto:
    """Return a model of logits with a softmax at its end."""
    changed = ModelProto()
    changed.CopyFrom(model)
    changed.graph.node[-1].output[0] = "z"
    changed.graph.node.append(helper.make_node("Softmax", ["z"], ["scores"], axis=1))
    return changed


def make_quantised(size: Size) -> ModelProto:
    """Make a net of QLinearConv: uint8 inside, float scores, with a known scale."""
    rng = np.random.default_rng(3)
    node = helper.make_node
    tensors = {
        "s_in": np.array(1 / 255, np.float32),
        "zero": np.array(0, np.uint8),
        "w": rng.integers(-40, 40, (4, 3, 3, 3)).astype(np.int8),
        "s_w": np.array(0.01, np.float32),
        "zero_w": np.array(0, np.int8),
        "s_out": np.array(0.05, np.float32),
        "zero_out": np.array(100, np.uint8),
        "dense": rng.normal(size=(4, 3)).astype(np.float32),
    }
    nodes = [
        node("QuantizeLinear", ["image", "s_in", "zero"], ["q"]),
        node(
            "QLinearConv",
            ["q", "s_in", "zero", "w", "s_w", "zero_w", "s_out", "zero_out"],
            ["inner"],
        ),
        node("MaxPool", ["inner"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        node("DequantizeLinear", ["pooled", "s_out", "zero_out"], ["real"]),
        node("GlobalAveragePool", ["real"], ["mean"]),
        node("Flatten", ["mean"], ["flat"]),
        node("MatMul", ["flat", "dense"], ["scores"]),
    ]
    return models.model(
        nodes,
        {"image": (TensorProto.FLOAT, ["N", 3, *size])},
        {"scores": (TensorProto.FLOAT, ["N", 3])},
        tensors,
    )


def make_simulated(size: Size) -> ModelProto:
    """Make the net of `make_quantised` as it is written before integers replace the real numbers.

    Every operator stands between a DequantizeLinear and a QuantizeLinear.
    """
    changed = make_quantised(size)
    node = helper.make_node
    convolution = [
        node("DequantizeLinear", ["q", "s_in", "zero"], ["x"]),
        node("DequantizeLinear", ["w", "s_w", "zero_w"], ["weights"]),
        node("Conv", ["x", "weights"], ["y"]),
        node("QuantizeLinear", ["y", "s_out", "zero_out"], ["inner"]),
    ]
    first, _, *others = changed.graph.node
    kept = [first, *convolution, *others]
    del changed.graph.node[:]
    changed.graph.node.extend(kept)
    return changed


def explain(
    classifier: OnnxClassifier,
    method: Method,
    images: Sequence[Image],
    targets: Sequence[int],
    fill: Fill = Nothing(),  # noqa: B008  (a frozen value)
) -> list[Attribution]:
    """Explain a class of each image through the engine."""
    settled, _ = settle_method(method, classifier)
    jobs = []
    for place, (image, target) in enumerate(zip(images, targets, strict=True)):
        jobs += make_jobs(settled, [Case(f"photo{place}", image, target)], fill, 0)
    return collect_values(classifier, jobs)


@cache
def open_convnet(size: Size, classes: int = 2, batch_size: int = 4) -> OnnxClassifier:
    """Open the usual small net, with pooling and a dense layer behind ``r2``, 8 channels."""
    spec = spec_of(size=size, classes=classes)
    return open_model(models.convnet(size, classes=classes), spec, batch_size)
