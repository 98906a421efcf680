"""DeconvNet and guided backpropagation on nets that can be done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxplain
from onnxplain.methods import DeconvNet, Gradient, GuidedBackprop
from tests.helpers import models
from tests.helpers.inside import open_model
from tests.helpers.specs import photos, spec_of

SIZE = (4, 4)


def make_two_layers(weights: np.ndarray, readout: np.ndarray) -> helper.ModelProto:
    """Make ``scores = readout @ relu(weights @ x)`` for flat images x."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["y"]),
        helper.make_node("MatMul", ["y", "v"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, *SIZE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", readout.shape[1]])
    stored = [
        numpy_helper.from_array(weights.astype(np.float32), "w"),
        numpy_helper.from_array(readout.astype(np.float32), "v"),
    ]
    graph = helper.make_graph(nodes, "two", [image], [scores], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("method", [GuidedBackprop, DeconvNet])
def test_signals_of_two_layers_are_those_by_hand(method: type) -> None:
    rng = np.random.default_rng(0)
    w, v = rng.normal(size=(48, 6)), rng.normal(size=(6, 2))
    classifier = open_model(make_two_layers(w, v), spec_of(size=SIZE, classes=2))
    photo = photos(1, SIZE)[0]
    a = photo.transpose(2, 0, 1).ravel() @ w
    g = np.maximum(v[:, 1], 0) * ((a > 0) if method is GuidedBackprop else 1)
    expected = (w @ g).reshape(3, *SIZE).sum(axis=0)
    found = onnxplain.explain(classifier, photo, method(channels="sum"), target=1)
    np.testing.assert_allclose(found.heatmap, expected, rtol=1e-4, atol=1e-5)
    assert found.fill == "none"
    assert found.details["rules"] == ("guided" if method is GuidedBackprop else "deconvnet")


@pytest.mark.parametrize("method", [GuidedBackprop, DeconvNet])
def test_without_activations_both_are_the_gradient(method: type) -> None:
    classifier = open_model(models.additive(models.weights(SIZE)), spec_of(size=SIZE))
    photo = photos(1, SIZE)[0]
    found = onnxplain.explain(classifier, photo, method(channels="sum"), target=2)
    gradient = onnxplain.explain(classifier, photo, Gradient(channels="sum"), target=2)
    np.testing.assert_allclose(found.heatmap, gradient.heatmap, rtol=1e-5, atol=1e-7)
