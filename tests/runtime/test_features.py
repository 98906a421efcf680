"""Features: the values of a tensor inside a classifier's graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxplain
from onnxplain.core.errors import ModelError
from onnxplain.graph.inner_tensors import find_features_tensor, keep_only_output
from onnxplain.image import resize
from tests.helpers import models

IMAGES = np.random.default_rng(3).random((11, 16, 16, 3), np.float32)
FLAGS: dict[str, Any] = {"range": (0, 1)}


def save_net(tmp_path: Path, **options: Any) -> Path:
    return models.save(models.convnet(**options), tmp_path / "net.onnx")


@pytest.mark.parametrize("batch", ["N", 1, 2])
def test_scores_are_the_last_layer_of_the_features(tmp_path: Path, batch: Any):
    path = save_net(tmp_path, batch=batch)
    features = onnxplain.load_features(path, device="cpu", **FLAGS)
    classifier = onnxplain.load(path, device="cpu", batch_size=None, **FLAGS)
    values = features(IMAGES)
    assert (features.tensor, values.shape) == ("flat", (11, 8))
    model = models.convnet()
    stored = {
        tensor.name: np.frombuffer(tensor.raw_data, np.float32)
        for tensor in model.graph.initializer
    }
    scores = values @ stored["w3"].reshape(8, 5) + stored["b3"]
    np.testing.assert_allclose(scores, classifier.scores(IMAGES), atol=1e-5)


def test_maps_are_averaged_over_the_image_and_images_are_resized(tmp_path: Path):
    path = save_net(tmp_path)
    features = onnxplain.load_features(path, "r2", device="cpu", **FLAGS)
    last = onnxplain.load_features(path, device="cpu", **FLAGS)
    np.testing.assert_allclose(features(IMAGES), last(IMAGES), atol=1e-6)
    large = np.random.default_rng(4).random((2, 30, 24, 3), np.float32)
    small = np.stack([resize(image, (16, 16), antialias=True) for image in large])
    np.testing.assert_array_equal(features(large), features(small))


def test_a_tensor_that_is_not_there_is_an_error_with_a_suggestion(tmp_path: Path):
    path = save_net(tmp_path)
    with pytest.raises(ModelError, match=r"net.onnx: no node .* 'flat2'; did you mean flat"):
        onnxplain.load_features(path, "flat2", device="cpu", **FLAGS)
    with pytest.raises(ValueError, match="images"):
        onnxplain.load_features(path, device="cpu", **FLAGS)(IMAGES[0])


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (helper.make_node("Conv", ["x", "w"], ["y"]), "x"),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), "x"),
        (helper.make_node("MatMul", ["w", "x"], ["y"]), "x"),
        (helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="head"), "x"),
    ],
)
def test_features_are_the_input_of_the_last_layer(node: Any, expected: str):
    graph = helper.make_graph(
        [node, helper.make_node("Softmax", ["y"], ["scores"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((4, 4), np.float32), name) for name in ("w", "b")],
    )
    assert find_features_tensor(helper.make_model(graph)) == expected


def test_keeping_an_output_leaves_the_given_model_unchanged():
    model = models.convnet()
    before = model.SerializeToString()
    assert [output.name for output in keep_only_output(model, "c1").graph.output] == ["c1"]
    assert model.SerializeToString() == before


def test_a_model_that_computes_in_float16_has_features(tmp_path: Path):
    w = models.weights((16, 16))
    model = models.additive(w, dtype="float16")
    # Without its cast everything is float16, and the file does not say so of inner tensors.
    del model.graph.node[0]
    model.graph.node[0].input[0] = "image"
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            halves = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(halves, tensor.name))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    path = models.save(model, tmp_path / "half.onnx")
    features = onnxplain.load_features(path, "flat", device="cpu", **FLAGS)(IMAGES)
    expected = models.encode(IMAGES, dtype="float16").reshape(len(IMAGES), -1)
    np.testing.assert_allclose(features, expected, atol=1e-3)
