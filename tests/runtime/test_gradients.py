"""The gradients that a loaded classifier gives to methods."""

import numpy as np
import pytest

import onnxplain
from onnxplain.errors import ModelError
from onnxplain.graph.gradient import GradientError
from onnxplain.runtime import load_classifier
from onnxplain.scores import target_scores
from tests.conftest import shared

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["probability", "log-odds", "logit"])
def test_gradients_of_a_real_classifier_are_the_slope_of_its_scores(kind):
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
    ahead, behind = target_scores(
        classifier.scores(moved), target, outputs=classifier.outputs, kind=kind
    )
    slope = float((grads[0] * direction).sum())
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=0.05)


def test_a_quantised_classifier_has_no_gradients_and_says_what_to_do():
    classifier = load_classifier(shared("models/mobilenet_v1_0.25_128_quant.onnx"), batch_size=1)
    with pytest.raises(GradientError, match=r"uint8.*gain=difference"):
        classifier.gradients()


def test_a_function_has_no_gradients_and_says_what_to_do():
    classifier = onnxplain.from_callable(
        lambda images: np.ones((len(images), 2)), size=(8, 8), n_classes=2, name="mine"
    )
    with pytest.raises(ModelError, match="mine: a function has no gradient"):
        classifier.gradients()
