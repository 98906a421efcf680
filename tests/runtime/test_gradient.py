"""Gradients through ONNX Runtime with respect to images, for every convention of inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from onnxplain.core.errors import ScoreError
from onnxplain.core.scores import compute_target_scores
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient import check_gradient
from onnxplain.graph.load import read_model
from onnxplain.runtime import load_classifier
from onnxplain.runtime.device import Device
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.gradient import OnnxGradient, load_gradient
from onnxplain.runtime.session import Session
from tests.conftest import shared
from tests.helpers import models
from tests.helpers.models import additive, additive_scores, weights
from tests.helpers.specs import CONVENTIONS, SIZE, photos, spec_of

FLOATS = {name: CONVENTIONS[name] for name in CONVENTIONS if "uint8" not in name}
GREY = np.array([0.299, 0.587, 0.114])


def load(model: ModelProto, spec: ModelSpec, folder: Path, **options: Any) -> OnnxGradient:
    path = models.save(model, folder / "model.onnx")
    return load_gradient(read_model(path), spec, Device("cpu"), **options)


@pytest.mark.parametrize("convention", FLOATS.values(), ids=FLOATS.keys())
def test_the_gradient_of_a_weighted_sum_of_pixels_is_its_weights(
    convention: dict[str, Any], tmp_path: Path
) -> None:
    w = weights(SIZE)
    grey = convention.get("colour") == "grey"
    used = w.mean(axis=3, keepdims=True) if grey else w
    gradient = load(additive(used, **convention), spec_of(**convention), tmp_path, kind="logit")
    targets = np.array([2, 0, 1])
    scores, grads = gradient.score_grads(photos(3), targets)
    expected = used * GREY if grey else w
    # Images enter 16-bit models rounded, which a linear model's gradient does not see.
    np.testing.assert_allclose(scores, additive_scores(expected, photos(3)), atol=2e-3)
    np.testing.assert_allclose(grads, expected[targets], rtol=2e-3, atol=1e-5)
    assert grads.dtype == np.float32


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_batch_size_does_not_change_the_result(batch_size: int, tmp_path: Path) -> None:
    model, spec = additive(weights(SIZE), head="probabilities"), spec_of(head="probabilities")
    targets = np.array([0, 1, 2, 1, 0])
    _, grads = load(model, spec, tmp_path, batch_size=batch_size).score_grads(photos(5), targets)
    _, whole = load(model, spec, tmp_path, batch_size=8).score_grads(photos(5), targets)
    np.testing.assert_allclose(grads, whole, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("batch", "flatten"), [(1, "one-row"), (3, "flatten"), (-1, "flatten"), ("N", "one-row")]
)
def test_a_model_of_any_declared_batch_takes_any_number_of_images(
    batch: int | str, flatten: str, tmp_path: Path
) -> None:
    """The last one declares any batch and takes one image: its pixels become one row."""
    w, targets = weights(SIZE), np.array([0, 1, 2, 1])
    model = additive(w, batch=batch, flatten=flatten)
    gradient = load(model, spec_of(), tmp_path, kind="logit", batch_size=3)
    _, grads = gradient.score_grads(photos(4), targets)
    np.testing.assert_allclose(grads, w[targets], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("head", ["probability", "logit"])
@pytest.mark.parametrize("output_rank", [1, 2])
@pytest.mark.parametrize("kind", ["probability", "log-odds"])
def test_one_number_per_image_has_the_gradient_of_its_sigmoid(
    tmp_path: Path, head: str, output_rank: int, kind: str
) -> None:
    """Log-odds of the second class are the weighted sum of the pixels."""
    w = models.weights((6, 6), 1) * 0.1
    model = models.additive(
        w, head="sigmoid" if head == "probability" else "logits", output_rank=output_rank
    )
    flags = {"range": (0, 1), "class_names": ("no", "yes"), "head": head}
    path = models.save(model, tmp_path / "net.onnx")
    classifier = load_classifier(path, device="cpu", batch_size=2, flags=flags)
    images = np.random.default_rng(0).random((2, 6, 6, 3), np.float32)
    _, grads = classifier.gradients().score_grads(images, np.array([1, 0]), kind)  # type: ignore[arg-type]
    p = 1 / (1 + np.exp(-models.additive_scores(w, images)[:, 0]))
    slope = np.ones(2) if kind == "log-odds" else p * (1 - p)
    expected = np.array([1, -1])[:, None, None, None] * slope[:, None, None, None] * w
    np.testing.assert_allclose(grads, expected, atol=1e-5)


@pytest.mark.parametrize("head", ["logits", "sigmoid"])
@pytest.mark.parametrize("output_rank", [2, 4])
@pytest.mark.parametrize("kind", ["probability", "log-odds", "logit"])
def test_label_has_the_gradient_of_its_own_sigmoid(
    tmp_path: Path, head: str, output_rank: int, kind: str
) -> None:
    """Log-odds of a label are the weighted sum of the pixels, whatever the other labels are."""
    w = models.weights((6, 6), 4)
    model = models.additive(w, head=head, output_rank=output_rank)
    path = models.save(model, tmp_path / "net.onnx")
    flags = {"range": (0, 1), "head": "sigmoid"}
    classifier = load_classifier(path, device="cpu", batch_size=2, flags=flags)
    images, targets = np.random.default_rng(0).random((3, 6, 6, 3), np.float32), np.array([3, 0, 1])
    _, grads = classifier.gradients().score_grads(images, targets, kind)  # type: ignore[arg-type]
    p = 1 / (1 + np.exp(-models.additive_scores(w, images)[range(3), targets]))
    slope = p * (1 - p) if kind == "probability" else np.ones(3)
    np.testing.assert_allclose(grads, slope[:, None, None, None] * w[targets], atol=1e-5)


def test_when_memory_runs_out_the_batch_is_halved_and_the_gradients_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, spec, targets = additive(weights(SIZE)), spec_of(), np.array([0, 1, 2, 1, 0])
    gradient = load(model, spec, tmp_path, kind="logit", batch_size=4)
    _, whole = gradient.score_grads(photos(5), targets)
    run, tried = Session.run, []

    def run_short_of_memory(session: Session, feeds: Any, outputs: Any) -> Any:
        tried.append(len(feeds["image"]))
        if tried[-1] > room:
            raise OutOfMemory("out of memory")
        return run(session, feeds, outputs)

    monkeypatch.setattr(Session, "run", run_short_of_memory)
    room = 1
    _, grads = gradient.score_grads(photos(5), targets)
    np.testing.assert_allclose(grads, whole, rtol=1e-5, atol=1e-7)
    assert tried == [4, 2, 1, 1, 1, 1, 1]
    room = 0
    with pytest.raises(OutOfMemory, match="a batch of 1 is the smallest"):
        gradient.score_grads(photos(5), targets)


@pytest.mark.parametrize(("targets", "text"), [([0], "one class"), ([0, 3], "0 to 2")])
def test_wrong_targets_are_refused(targets: list[int], text: str, tmp_path: Path) -> None:
    gradient = load(additive(weights(SIZE)), spec_of(), tmp_path)
    with pytest.raises(ValueError, match=text):
        gradient.score_grads(photos(2), np.array(targets))


def test_a_gradient_that_is_not_finite_names_the_image_and_the_node(tmp_path: Path) -> None:
    model = additive(weights(SIZE))
    for tensor in model.graph.initializer:
        if tensor.name == "w":
            broken = numpy_helper.to_array(tensor).copy()
            broken[0, 0] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(broken, "w"))
    gradient = load(model, spec_of(), tmp_path)
    with pytest.raises(ScoreError, match=r"of image 0 holds nan, first at node 'scores' \(Gemm\)$"):
        gradient.score_grads(photos(2), np.array([0, 0]))


def test_the_gradient_of_a_real_network_passes_the_self_check() -> None:
    """Mini-XCEPTION, from Keras: convolutions by channel, max-pooling, Relu."""
    path = shared("models/fer-keras-minixception.onnx")
    file = read_model(path)
    image, output = file.proto.graph.input[0].name, file.proto.graph.output[0].name
    spec = ModelSpec(
        input=image, output=output, layout="nhwc", colour="grey", dtype="float32",
        range=(-1, 1), mean=(0,), std=(1,), size=(64, 64), fit="crop", resize=(64, 64),
        interpolation="bilinear", border=(0, 0, 0), centre="round", head="probabilities",
        output_scale=(1, 0),
        class_names=tuple(map(str, range(7))),
    )  # fmt: skip
    gradient = load_gradient(file, spec, Device("cpu"), kind="log-odds")

    def differentiate(images: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        raw, grads = gradient.score_grads(images, np.full(len(images), 3))
        return compute_target_scores(raw, 3, outputs="probabilities", kind="log-odds"), grads

    assert check_gradient(differentiate, photos(1, (64, 64))[0], np.random.default_rng(0)).passed


@pytest.mark.parametrize("kind", ["probability", "log-odds", "logit"])
def test_gradients_of_a_real_classifier_are_the_slope_of_its_scores(kind: Any) -> None:
    path = shared("models/squeezenet-places365.onnx")
    flags = {"preprocessing": "bytes", "colour": "bgr", "mean": (104.05, 112.51, 116.68)}
    classifier = load_classifier(path, flags={**flags, "std": (255.0, 255.0, 255.0)}, batch_size=2)
    # Smooth images: the net is piecewise linear, and noise lies on too many of its kinks.
    ramp = np.linspace(0.2, 0.8, 224, dtype=np.float32)
    image = np.stack([np.outer(ramp, ramp), np.outer(ramp[::-1], ramp), 1 - np.outer(ramp, ramp)])
    image = image.transpose(1, 2, 0).astype(np.float32)
    target = int(classifier.scores(image[None]).argmax())
    raw, grads = classifier.gradients().score_grads(image[None], np.array([target]), kind)
    np.testing.assert_allclose(raw, classifier.scores(image[None]), rtol=1e-4, atol=1e-4)
    direction = grads[0] / np.linalg.norm(grads[0])
    step = 2e-4
    moved = np.stack([image + step * direction, image - step * direction]).astype(np.float32)
    ahead, behind = compute_target_scores(
        classifier.scores(moved), target, outputs=classifier.outputs, kind=kind
    )
    slope = float((grads[0] * direction).sum())
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=0.05)
