"""Gradients through ONNX Runtime with respect to images, for every convention of inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from onnxplain.core.errors import ModelError, ScoreError
from onnxplain.core.scores import compute_target_scores
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient import GradientError, check_gradient, gradient_name
from onnxplain.graph import load as loading
from onnxplain.graph.load import read_model
from onnxplain.graph.rebatch import batch_axis
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.gradient import OnnxGradient, load_gradient
from onnxplain.runtime.gradient_building import build_gradient_model
from onnxplain.runtime.measure import RuntimeMeasure
from onnxplain.runtime.session import Session
from tests.conftest import shared
from tests.helpers.models import additive, additive_scores, weights
from tests.helpers.specs import CONVENTIONS, SIZE, photos, spec_of

FLOATS = {name: one for name, one in CONVENTIONS.items() if "uint8" not in name}
GREY = np.array([0.299, 0.587, 0.114])


def load(model: ModelProto, spec: ModelSpec, folder: Path, **options: Any) -> OnnxGradient:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return load_gradient(read_model(path), spec, Device("cpu"), **options)


@pytest.mark.parametrize("convention", FLOATS.values(), ids=FLOATS.keys())
def test_the_gradient_of_a_weighted_sum_of_pixels_is_its_weights(
    convention: dict[str, Any], tmp_path: Path
) -> None:
    w = weights(SIZE)
    grey = convention.get("colour") == "grey"
    drawn = w.mean(axis=3, keepdims=True) if grey else w
    gradient = load(additive(drawn, **convention), spec_of(**convention), tmp_path, kind="logit")
    targets = np.array([2, 0, 1])
    scores, grads = gradient.score_grads(photos(3), targets)
    expected = drawn * GREY if grey else w
    # Images enter 16-bit models rounded, which a linear model's gradient does not see.
    np.testing.assert_allclose(scores, additive_scores(expected, photos(3)), atol=2e-3)
    np.testing.assert_allclose(grads, expected[targets], rtol=2e-3, atol=1e-5)
    assert grads.dtype == np.float32


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_batch_size_does_not_change_the_result(batch_size: int, tmp_path: Path) -> None:
    model, spec = additive(weights(SIZE), head="probabilities"), spec_of(head="probabilities")
    targets = np.array([0, 1, 2, 1, 0])
    _, found = load(model, spec, tmp_path, batch_size=batch_size).score_grads(photos(5), targets)
    _, whole = load(model, spec, tmp_path, batch_size=8).score_grads(photos(5), targets)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_of_fixed_batch_size_takes_any_number_of_images(batch: int, tmp_path: Path) -> None:
    w, targets = weights(SIZE), np.array([0, 1, 2, 1])
    flatten = "one-row" if batch == 1 else "flatten"
    model = additive(w, batch=batch, flatten=flatten)
    _, found = load(model, spec_of(), tmp_path, kind="logit").score_grads(photos(4), targets)
    np.testing.assert_allclose(found, w[targets], rtol=1e-4, atol=1e-6)


def test_a_model_that_says_it_takes_any_batch_and_takes_one_image(tmp_path: Path) -> None:
    """Its pixels become one row, of a length that only one image has."""
    w, targets, spec = weights(SIZE), np.array([0, 1, 2, 1]), spec_of()
    model = additive(w, flatten="one-row")
    gradient = load(model, spec, tmp_path, kind="logit", batch_size=3)
    _, found = gradient.score_grads(photos(4), targets)
    np.testing.assert_allclose(found, w[targets], rtol=1e-4, atol=1e-6)
    data = build_gradient_model(read_model(tmp_path / "model.onnx"), spec, kind="logit")
    assert batch_axis(ModelProto.FromString(data), spec.input) == 1


def test_a_batch_that_is_written_as_minus_one_is_open(tmp_path: Path) -> None:
    w, targets = weights(SIZE), np.array([0, 1, 2, 1])
    gradient = load(additive(w, batch=-1), spec_of(), tmp_path, kind="logit", batch_size=3)
    _, found = gradient.score_grads(photos(4), targets)
    np.testing.assert_allclose(found, w[targets], rtol=1e-4, atol=1e-6)


def test_a_batch_that_is_written_as_zero_is_told(tmp_path: Path) -> None:
    """As open as -1, but ONNX Runtime takes it at its word."""
    with pytest.raises(GradientError, match="index: 0 Got: 2 Expected: 0"):
        load(additive(weights(SIZE), batch=0), spec_of(), tmp_path)


def test_where_memory_ends_the_batch_is_halved_and_the_gradients_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, spec, targets = additive(weights(SIZE)), spec_of(), np.array([0, 1, 2, 1, 0])
    gradient = load(model, spec, tmp_path, kind="logit", batch_size=4)
    _, whole = gradient.score_grads(photos(5), targets)
    run, tried = Session.run, []

    def short(session: Session, feeds: Any, outputs: Any) -> Any:
        tried.append(len(feeds["image"]))
        if tried[-1] > room:
            raise OutOfMemory("out of memory")
        return run(session, feeds, outputs)

    monkeypatch.setattr(Session, "run", short)
    room = 1
    _, found = gradient.score_grads(photos(5), targets)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-7)
    assert tried == [4, 2, 1, 1, 1, 1, 1]
    room = 0
    with pytest.raises(OutOfMemory, match="a batch of 1 is the smallest"):
        gradient.score_grads(photos(5), targets)


def test_layers_come_with_activation_and_gradient(tmp_path: Path) -> None:
    spec, path = spec_of(head="probabilities"), tmp_path / "model.onnx"
    onnx.save(additive(weights(SIZE), head="probabilities"), path)
    data = build_gradient_model(read_model(path), spec, kind="log-odds", layers=("z",))
    images = ModelSpace.of(spec).enter(photos(2))
    found = RuntimeMeasure().run(data, {"image": images, "target": np.array([1, 1])})
    activation, slope = found["z"], found[gradient_name("z")]
    np.testing.assert_allclose(slope[:, 1], 1, rtol=1e-5)
    others = np.exp(activation[:, [0, 2]])
    np.testing.assert_allclose(slope[:, [0, 2]], -others / others.sum(1, keepdims=True), rtol=1e-5)


def test_external_weights_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w = weights(SIZE)
    path = tmp_path / "outside.onnx"
    onnx.save(
        additive(w), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    gradient = load_gradient(read_model(path), spec_of(), Device("cpu"), kind="logit")
    _, found = gradient.score_grads(photos(1), np.array([1]))
    np.testing.assert_allclose(found, w[[1]], rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(loading, "MAX_MESSAGE", 1000)
    with pytest.raises(GradientError, match=r"outside.onnx: holds .* scores alone"):
        load_gradient(read_model(path), spec_of(), Device("cpu"))


@pytest.mark.parametrize(("targets", "text"), [([0], "one class"), ([0, 3], "0 to 2")])
def test_wrong_targets_are_refused(targets: list[int], text: str, tmp_path: Path) -> None:
    gradient = load(additive(weights(SIZE)), spec_of(), tmp_path)
    with pytest.raises(ValueError, match=text):
        gradient.score_grads(photos(2), np.array(targets))


def test_a_gradient_that_is_not_finite_names_the_image_and_the_node(tmp_path: Path) -> None:
    model = additive(weights(SIZE))
    for stored in model.graph.initializer:
        if stored.name == "w":
            broken = numpy_helper.to_array(stored).copy()
            broken[0, 0] = np.nan
            stored.CopyFrom(numpy_helper.from_array(broken, "w"))
    gradient = load(model, spec_of(), tmp_path)
    with pytest.raises(ScoreError, match=r"of image 0 holds nan, first at node 'scores' \(Gemm\)$"):
        gradient.score_grads(photos(2), np.array([0, 0]))


def test_images_of_whole_numbers_are_refused(tmp_path: Path) -> None:
    convention = CONVENTIONS["uint8 nhwc"]
    with pytest.raises(GradientError, match=r"model.onnx: input 'image' holds uint8.*scores alone"):
        load(additive(weights(SIZE), **convention), spec_of(**convention), tmp_path)


def test_an_input_that_is_not_there_is_named(tmp_path: Path) -> None:
    model = additive(weights(SIZE))
    model.graph.input[0].name = model.graph.node[0].input[0] = "other"
    with pytest.raises(ModelError, match="no input named 'image'"):
        load(model, spec_of(), tmp_path)


def test_the_gradient_of_a_real_network_passes_the_self_check() -> None:
    """Mini-XCEPTION, from Keras: convolutions a channel, max-pooling, Relu."""
    path = shared("models/fer-keras-minixception.onnx")
    file = read_model(path)
    image, output = file.proto.graph.input[0].name, file.proto.graph.output[0].name
    spec = ModelSpec(
        input=image, output=output, layout="nhwc", colour="grey", dtype="float32",
        range=(-1, 1), mean=(0,), std=(1,), size=(64, 64), fit="crop", crop=1,
        interpolation="bilinear", head="probabilities", output_scale=(1, 0),
        class_names=tuple(map(str, range(7))),
    )  # fmt: skip
    gradient = load_gradient(file, spec, Device("cpu"), kind="log-odds")

    def function(images: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        raw, grads = gradient.score_grads(images, np.full(len(images), 3))
        return compute_target_scores(raw, 3, outputs="probabilities", kind="log-odds"), grads

    assert check_gradient(function, photos(1, (64, 64))[0], np.random.default_rng(0)).passed
