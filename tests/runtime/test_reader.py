"""The inside of classifiers: values and gradients of layers, with and without derivatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxplain.core.data import Layer
from onnxplain.core.errors import ModelError, ScoreError
from onnxplain.core.inside import RuleTable, Tensors
from onnxplain.gradient import GradientError
from onnxplain.graph.load import read_model
from onnxplain.runtime import load_classifier, reader
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.reader import load_reader
from tests.conftest import shared
from tests.helpers import models
from tests.helpers.inside import (
    add_softmax,
    make_quantised,
    open_convnet,
    open_model,
    read_proto,
)
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)
CPU = Device("cpu")
TARGETS = np.array([1, 0, 2, 1, 2])
R2 = Layer("r2", "NCHW", 8, (8, 10))


def run_tensors(model: ModelProto, feeds: dict[str, Any], *names: str) -> list[NDArray[Any]]:
    """Run an unchanged model in ONNX Runtime, with inner tensors as outputs."""
    changed = ModelProto()
    changed.CopyFrom(model)
    changed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = ort.InferenceSession(changed.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(list(names), feeds)


def read(model: ModelProto, wants: Tensors, images: Any, batch_size: int = 8, **spec: Any) -> Any:
    described = spec_of(size=images.shape[1:3], classes=3, **spec)
    found = load_reader(read_proto(model), described, CPU, wants, batch_size=batch_size)
    return found.read(images, TARGETS[: len(images)])


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("batch", ["N", 1, 2])
@pytest.mark.parametrize("batch_size", [2, 8])
def test_values_are_those_of_the_untouched_file(
    gradients: bool, batch: int | str, batch_size: int
) -> None:
    model, images = models.convnet(SIZE, classes=3, batch=batch), photos(5, SIZE)
    inside = read(model, Tensors((R2,), gradients=gradients), images, batch_size)
    feeds = {"image": ModelSpace.of(spec_of(size=SIZE)).enter(images)}
    plain = models.convnet(SIZE, classes=3)
    values, scores = run_tensors(plain, feeds, "r2"), run_tensors(plain, feeds, "flat")
    np.testing.assert_allclose(inside.layers[0][0], values[0], rtol=1e-5, atol=1e-6)
    w3, b3 = (numpy_helper.to_array(t) for t in plain.graph.initializer if t.name in ("w3", "b3"))
    np.testing.assert_allclose(inside.scores, scores[0] @ w3 + b3, rtol=1e-4, atol=1e-5)
    assert (inside.layers[0][1] is not None) == gradients
    if gradients:  # the dense layer's weights, spread by the mean over 80 positions
        expected = np.broadcast_to(w3[:, TARGETS].T[:, :, None, None] / 80, values[0].shape)
        np.testing.assert_allclose(inside.layers[0][1], expected, rtol=1e-5)


@pytest.mark.parametrize("gradients", [True, False])
def test_logits_in_front_of_a_softmax_are_read_exactly(gradients: bool) -> None:
    model, images = models.convnet(SIZE, classes=3), photos(3, SIZE)
    wants = Tensors((R2,), gradients=gradients)
    plain = read(model, wants, images)
    ended = read(add_softmax(model), wants, images, head="probabilities")
    np.testing.assert_allclose(ended.logits, plain.scores, rtol=1e-5)
    np.testing.assert_allclose(ended.logits, plain.logits, rtol=1e-5)
    if gradients:
        np.testing.assert_allclose(ended.layers[0][1], plain.layers[0][1], rtol=1e-5)


def test_several_layers_and_the_image_come_from_one_graph() -> None:
    model, images = models.convnet(SIZE, classes=3), photos(2, SIZE)
    r1 = Layer("r1", "NCHW", 4, SIZE)
    together = read(model, Tensors((r1, R2), image=True), images)
    for place, layer in enumerate((r1, R2)):
        alone = read(model, Tensors((layer,)), images)
        for ours, own in zip(together.layers[place], alone.layers[0], strict=True):
            np.testing.assert_allclose(ours, own, rtol=1e-5, atol=1e-7)
    image = read(model, Tensors(image=True), images)
    np.testing.assert_allclose(together.grads, image.grads, rtol=1e-5, atol=1e-7)


def test_walk_ends_at_the_layer_if_no_gradient_of_the_image_is_wanted() -> None:
    """Behind an operator that has no gradient, as in quantised models."""
    model = models.convnet(SIZE, classes=3)
    node = next(node for node in model.graph.node if node.name == "" and "p1" in node.output)
    node.output[0] = "smooth"
    model.graph.node.insert(3, helper.make_node("Round", ["smooth"], ["p1"]))
    inside = read(model, Tensors((R2,)), photos(2, SIZE))
    assert np.abs(inside.layers[0][1]).max() > 0
    with pytest.raises(GradientError, match="does not depend on 'image'"):
        read(model, Tensors((R2,), image=True), photos(2, SIZE))


def test_quantised_layers_give_the_real_numbers_that_they_stand_for() -> None:
    model, images = make_quantised(SIZE), photos(3, SIZE)
    classifier = open_model(model, spec_of(size=SIZE, classes=3))
    (last,) = classifier.find_layers("last")
    assert last.tensor == "real"
    found = (*classifier.find_layers("inner"), *classifier.find_layers("pooled"), last)
    inside = classifier.look_inside(images, TARGETS[:3], Tensors(found, gradients=False))
    feeds = {"image": images.transpose(0, 3, 1, 2)}
    inner, real = run_tensors(model, feeds, "inner", "real")
    expected = (inner.astype(np.float32) - 100) * 0.05
    np.testing.assert_allclose(inside.layers[0][0], expected, rtol=1e-6)
    np.testing.assert_allclose(inside.layers[1][0], real, rtol=1e-6)
    np.testing.assert_allclose(inside.layers[2][0], real, rtol=1e-6)


def test_quantised_model_from_tflite_shows_its_last_layer_and_logits() -> None:
    path = shared("models/mobilenet_v2_1.0_224_quant.onnx")
    classifier = load_classifier(path, device="cpu", batch_size=1)
    images = photos(2, classifier.size)
    (last,) = classifier.find_layers("last")
    inside = classifier.look_inside(images, np.array([0, 1]), Tensors((last,), gradients=False))
    assert inside.layers[0][0].shape == (2, 1280, 7, 7)
    assert inside.logits is not None
    exp = np.exp(inside.logits.astype(float))
    # The file rounds its probabilities to 256 steps.
    np.testing.assert_allclose(inside.scores, exp / exp.sum(1, keepdims=True), atol=3e-3)
    with pytest.raises(GradientError, match="mobilenet_v2"):
        classifier.prepare_inside(Tensors(classifier.find_layers("stage:1")))


def test_channels_last_and_tokens_are_arranged_with_channels_second() -> None:
    node = helper.make_node
    rng = np.random.default_rng(0)
    rows, columns = SIZE
    nodes = [
        node("MatMul", ["image", "w1"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("ReduceMean", ["b"], ["mean"], axes=[1, 2], keepdims=0),
        node("MatMul", ["mean", "w2"], ["scores"]),
    ]
    tensors = {
        "w1": rng.normal(size=(3, 5)).astype(np.float32),
        "w2": rng.normal(size=(5, 3)).astype(np.float32),
    }
    model = models.model(
        nodes,
        {"image": (TensorProto.FLOAT, ["N", rows, columns, 3])},
        {"scores": (TensorProto.FLOAT, ["N", 3])},
        tensors,
    )
    classifier = open_model(model, spec_of(size=SIZE, classes=3, layout="nhwc"))
    (layer,) = classifier.find_layers("last")
    assert (layer.tensor, layer.axes, layer.shape) == ("b", "NHWC", (5, *SIZE))
    images = photos(3, SIZE)
    inside = classifier.look_inside(images, TARGETS[:3], Tensors((layer,)))
    expected = np.maximum(images @ tensors["w1"], 0).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(inside.layers[0][0], expected, rtol=1e-5, atol=1e-6)
    slopes = tensors["w2"][:, TARGETS[:3]].T / (rows * columns)
    np.testing.assert_allclose(
        inside.layers[0][1], np.broadcast_to(slopes[:, :, None, None], expected.shape), rtol=1e-5
    )


def test_graphs_are_built_once_for_equal_wishes() -> None:
    classifier = open_convnet(SIZE, 3)
    wants = Tensors(classifier.find_layers("last"))
    inside = classifier._inside
    assert inside.open(wants) is inside.open(Tensors(classifier.find_layers("stage:2")))
    assert inside.open(wants) is not inside.open(Tensors(wants.layers, score="log-odds"))
    for kind in ("probability", "logit", "contrast", "log-odds", "raw"):
        for image in (True, False):
            inside.open(Tensors(wants.layers, image=image, score=kind))  # type: ignore[arg-type]
    assert len(inside._readers) == 8


def test_wide_layers_get_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_BYTES", 2 * 4 * 2 * 8 * 80)  # of two images
    found = load_reader(
        read_proto(models.convnet(SIZE, classes=3)),
        spec_of(size=SIZE, classes=3),
        CPU,
        Tensors((R2,)),
        batch_size=8,
    )
    assert found._batches.size == 2
    assert len(found.read(photos(5, SIZE), TARGETS).layers[0][0]) == 5


def test_values_that_are_not_finite_are_errors_that_name_the_node() -> None:
    model = models.convnet(SIZE, classes=3)
    for stored in model.graph.initializer:
        if stored.name == "w2":
            large = numpy_helper.to_array(stored) * np.float32(1e38)
            stored.CopyFrom(numpy_helper.from_array(large, "w2"))
    with pytest.raises(ScoreError, match=r"of image 0 holds (nan|-?inf), first at node"):
        read(model, Tensors((R2,), gradients=False), photos(1, SIZE))


def test_wrong_wishes_are_refused() -> None:
    model, images = models.convnet(SIZE, classes=3), photos(1, SIZE)
    with pytest.raises(ModelError, match="no tensor named 'nothing'"):
        read(model, Tensors((Layer("nothing", "NCHW", 1, (2, 2)),)), images)
    with pytest.raises(ValueError, match="rule table 'guide' is unknown; did you mean 'guided'"):
        read(model, Tensors(image=True, rules=RuleTable("guide")), images)
    with pytest.raises(GradientError, match=r"model.onnx: the scores 'raw'.*comes from Gemm"):
        read(model, Tensors(image=True), images, head="probabilities")
    with pytest.raises(ValueError, match="targets are one class"):
        load_reader(
            read_proto(model), spec_of(size=SIZE, classes=3), CPU, Tensors(image=True)
        ).read(images, np.array([3]))


def test_external_weights_are_found(tmp_path: Path) -> None:
    model = models.convnet(SIZE, classes=3)
    spec, wants = spec_of(size=SIZE, classes=3), Tensors((R2,), gradients=False)
    inside = read(model, wants, photos(2, SIZE))
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, size_threshold=100)
    outside = load_reader(read_model(path), spec, CPU, wants).read(photos(2, SIZE), TARGETS[:2])
    np.testing.assert_allclose(outside.layers[0][0], inside.layers[0][0], rtol=1e-6)
