"""Finders of the layers of small and of published graphs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto

from onnxplain.core.data import Size
from onnxplain.gradient.grids import GridGraph
from onnxplain.gradient.layers import LayerFinder
from onnxplain.graph.shapes import list_fed_inputs
from tests.helpers.models import model as make_model

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"  # real graphs, without weights


def read_grids(model: ModelProto, size: Size, *, channels_last: bool = False) -> GridGraph:
    """Return the graph of a model whose image and scores are called so."""
    return GridGraph(model, input="image", output="scores", size=size, channels_last=channels_last)


def open_finder(model: ModelProto, size: Size = (12, 12), n_classes: int = 4) -> LayerFinder:
    return LayerFinder(read_grids(model, size), n_classes)


@cache
def open_light(name: str) -> LayerFinder:
    """Return the finder of a graph that onnx brings along, of ImageNet's classes."""
    proto = onnx.load(LIGHT / f"light_{name}.onnx")
    (image,) = list_fed_inputs(proto.graph)
    output = proto.graph.output[0].name
    return LayerFinder(GridGraph(proto, input=image.name, output=output, size=(224, 224)), 1000)


def build(nodes: list[NodeProto], **tensors: np.ndarray) -> ModelProto:
    """Build a classifier of 12 x 12 pixels and four classes."""
    output = {"scores": (TensorProto.FLOAT, ["N", 4])}
    return make_model(nodes, {"image": (TensorProto.FLOAT, ["N", 3, 12, 12])}, output, tensors)


def weights(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)
