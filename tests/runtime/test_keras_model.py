"""A model of Keras is a classifier, with the gradients of whichever backend Keras runs on."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import onnxplain

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the framework's own imports
    keras = pytest.importorskip("keras", exc_type=ImportError)
pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore"),  # the frameworks warn of each other
]

SIZE = (16, 12)
PHOTO = np.random.default_rng(0).random((32, 24, 3)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(SIZE[0] * SIZE[1] * 3, 4)).astype(np.float32) / 20


def make_model(activation: str | None = None) -> Any:
    """Scores that are linear in the pixels, so that scores and gradients have a closed form."""
    inputs = keras.Input((*SIZE, 3))
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(inputs))
    scores = keras.layers.Dense(4, activation=activation, use_bias=False, name="scores")(x)
    model = keras.Model(inputs, scores, name="linear")
    model.get_layer("scores").set_weights([WEIGHTS])
    return model


def test_scores_and_gradients_have_their_closed_form() -> None:
    classifier = onnxplain.from_keras(make_model(), preprocessing="keras-tf")
    assert (classifier.size, classifier.outputs, classifier.name) == (SIZE, "logits", "linear")
    images = np.random.default_rng(2).random((3, *SIZE, 3)).astype(np.float32)
    z = (2 * images - 1).reshape(3, -1) @ WEIGHTS
    np.testing.assert_allclose(classifier.scores(images), z, atol=1e-4)
    targets = np.array([0, 3, 1])
    scores, gradients = classifier.gradients().score_grads(images, targets, "logit")
    np.testing.assert_allclose(scores, z, atol=1e-4)
    np.testing.assert_allclose(
        gradients, 2 * WEIGHTS.T[targets].reshape(3, *SIZE, 3), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("method", ["sp:patch=4", "mp:n_steps=3", "mp2:grid=4"])
def test_methods_run_as_on_the_same_numpy_network(method: str) -> None:
    mine = onnxplain.from_keras(make_model("softmax"), preprocessing="bytes", batch_size=5)
    assert mine.outputs == "probabilities"

    def score(images: Any) -> Any:
        z = 255 * images.reshape(len(images), -1) @ WEIGHTS
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def pull(images: Any, weights: Any) -> Any:
        p = score(images)
        weights = p * (weights - (p * weights).sum(axis=1, keepdims=True))
        return (255 * weights @ WEIGHTS.T).reshape(images.shape)

    plain = onnxplain.from_callable(score, size=SIZE, n_classes=4, gradient=pull)
    ours, theirs = (
        onnxplain.explain(known, PHOTO, method, fill="blur:sigma=1") for known in (mine, plain)
    )
    np.testing.assert_allclose(ours.heatmap, theirs.heatmap, atol=1e-3)


def test_from_callable_names_this_door() -> None:
    with pytest.raises(TypeError, match=r"model of keras.*onnxplain\.from_keras"):
        onnxplain.from_callable(make_model(), size=SIZE, n_classes=4)
    with pytest.raises(TypeError, match=r"keras\.Model, got function"):
        onnxplain.from_keras(lambda images: images)
