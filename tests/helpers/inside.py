"""Small ONNX classifiers whose inside can be seen."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from onnx import ModelProto, helper

from onnxplain.core.data import Size
from onnxplain.core.spec import ModelSpec
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


@cache
def open_convnet(size: Size, classes: int = 2, batch_size: int = 4) -> OnnxClassifier:
    """Open the usual small net, with pooling and a dense layer behind ``r2``, 8 channels."""
    spec = spec_of(size=size, classes=classes)
    return open_model(models.convnet(size, classes=classes), spec, batch_size)
