"""Folding keeps a graph's outputs, and running returns all of them by name."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxplain.gradient import GradientError
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers import models

IMAGE = (TensorProto.FLOAT, ["N", 3, 4, 4])


def make_graph_with_constants() -> bytes:
    """image * (2 + 3), where the sum can be folded."""
    nodes = [
        helper.make_node("Add", ["two", "three"], ["five"]),
        helper.make_node("Mul", ["image", "five"], ["product"]),
    ]
    tensors = {"two": np.array(2, np.float32), "three": np.array(3, np.float32)}
    content: bytes = models.model(
        nodes, {"image": IMAGE}, {"product": IMAGE}, tensors
    ).SerializeToString()
    return content


def test_folding_removes_constant_nodes_and_keeps_the_outputs() -> None:
    measure, content = RuntimeMeasure(), make_graph_with_constants()
    folded = measure.fold(content)
    assert [node.op_type for node in onnx.load_from_string(folded).graph.node] == ["Mul"]
    image = np.random.default_rng(0).random((2, 3, 4, 4), np.float32)
    for graph in (content, folded):
        np.testing.assert_array_equal(measure.run(graph, {"image": image})["product"], image * 5)


def test_scales_are_merged_into_weights_only_if_wished() -> None:
    w, scale = np.ones((2, 3, 1, 1), np.float32), np.full((1, 2, 1, 1), 0.5, np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["maps"]),
        helper.make_node("Mul", ["maps", "scale"], ["scaled"]),
    ]
    scaled = (TensorProto.FLOAT, ["N", 2, 4, 4])
    model = models.model(nodes, {"image": IMAGE}, {"scaled": scaled}, {"w": w, "scale": scale})
    for merge, expected in ((True, ["Conv"]), (False, ["Conv", "Mul"])):
        folded = RuntimeMeasure().fold(model.SerializeToString(), merge=merge)
        assert [node.op_type for node in onnx.load_from_string(folded).graph.node] == expected


def test_values_that_the_graph_does_not_take_are_left_out() -> None:
    image = np.ones((1, 3, 4, 4), np.float32)
    feeds = {"image": image, "target": np.array([0])}
    outputs = RuntimeMeasure().run(make_graph_with_constants(), feeds)
    assert list(outputs) == ["product"]


def test_graphs_that_cannot_be_loaded_or_run_are_gradient_errors() -> None:
    with pytest.raises(GradientError, match="cannot load the model"):
        RuntimeMeasure().run(b"no protobuf at all", {})
    wrong = {"image": np.ones((1, 3, 5, 5), np.float32)}
    with pytest.raises(GradientError, match="cannot be run to measure its shapes"):
        RuntimeMeasure().run(make_graph_with_constants(), wrong)
