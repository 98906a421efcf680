"""What is behind a layer, run alone, gives the scores of the whole classifier."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.core.data import Case, Layer
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import TailQuery
from onnxplain.core.inside import Tensors
from onnxplain.engine.run import Job, collect_values
from onnxplain.fills.nothing import Nothing
from onnxplain.runtime import load_classifier
from tests.conftest import shared
from tests.helpers import models
from tests.helpers.inside import add_softmax, open_convnet, open_model
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)


def read_values(classifier, name, images):
    (layer,) = classifier.find_layers(name)
    wants = Tensors((layer,), gradients=False, score="probability")
    inside = classifier.look_inside(images, np.zeros(len(images), int), wants)
    return layer, inside.layers[0][0]


@pytest.mark.parametrize("name", ["last", "stage:1", "p1"])
@pytest.mark.parametrize("batch", ["N", 1, 2])
def test_unchanged_values_give_the_scores_of_the_image(name: str, batch: int | str) -> None:
    model = add_softmax(models.convnet(SIZE, batch=batch))
    spec = spec_of(size=SIZE, classes=5, head="probabilities")
    classifier = open_model(model, spec, batch_size=2 if batch == 2 else 4 if batch == "N" else 1)
    images = photos(5, SIZE)
    layer, values = read_values(classifier, name, images)
    tail = classifier.run_tail(layer, values, "raw")
    np.testing.assert_allclose(tail.scores, classifier.scores(images), rtol=1e-5, atol=1e-7)
    exp = np.exp(tail.logits)
    np.testing.assert_allclose(exp / exp.sum(axis=1, keepdims=True), tail.scores, rtol=1e-5)
    assert classifier.run_tail(layer, values, "probability").logits is None


def test_channels_without_values_change_the_logit_by_their_weight() -> None:
    """Behind pooling and a dense layer, a channel's share is its mean times its weight."""
    classifier = open_convnet(SIZE, 5)
    image = photos(1, SIZE)
    layer, values = read_values(classifier, "last", image)
    without = np.repeat(values, 8, axis=0)
    without[range(8), range(8)] = 0
    drop = classifier.scores(image) - classifier.run_tail(layer, without, "raw").scores
    (w3,) = (
        models.numpy_helper.to_array(t)
        for t in models.convnet(SIZE).graph.initializer
        if t.name == "w3"
    )
    share = values[0].mean(axis=(1, 2))[:, None] * w3
    np.testing.assert_allclose(drop, share, rtol=1e-4, atol=1e-5)


def test_queries_about_tails_are_made_slice_by_slice() -> None:
    classifier = open_convnet(SIZE, 5)
    images = photos(20, SIZE)
    layer, values = read_values(classifier, "last", images)
    made = []

    def make(start, stop):
        made.append(stop - start)
        return values[start:stop]

    def flow():
        reply = yield TailQuery(layer, 20, make)
        return reply.scores

    job = Job((Case("photo", images[0], 3),), (flow(),), Nothing())
    (scores,) = collect_values(classifier, [job])
    np.testing.assert_allclose(scores, classifier.scores(images)[:, 3], rtol=1e-5)
    assert max(made) <= 8
    assert sum(made) == 20


def test_values_of_another_shape_fail_by_themselves() -> None:
    classifier = open_convnet(SIZE, 5)
    (layer,) = classifier.find_layers("last")

    def flow():
        yield TailQuery(layer, 2, lambda start, stop: np.zeros((2, 3, 4, 5), np.float32))

    job = Job((Case("photo", photos(1, SIZE)[0], 3),), (flow(),), Nothing())
    with pytest.raises(ValueError, match=r"have the shape \(2, 8, 8, 10\), got \(2, 3, 4, 5\)"):
        collect_values(classifier, [job])


def test_layers_that_the_scores_bypass_are_refused() -> None:
    classifier = open_convnet(SIZE, 5)
    beside = Layer("r2", "NCHW", 8, (8, 10), is_cut=False)
    with pytest.raises(ModelError, match="behind layer 'r2' cannot be run alone"):
        classifier.run_tail(beside, np.zeros((1, 8, 8, 10), np.float32), "raw")


def test_tail_of_a_quantised_model_from_tflite() -> None:
    path = shared("models/mobilenet_v2_1.0_224_quant.onnx")
    classifier = load_classifier(path, device="cpu", batch_size=1)
    images = photos(2, classifier.size)
    layer, values = read_values(classifier, "last", images)
    tail = classifier.run_tail(layer, values, "raw")
    np.testing.assert_allclose(tail.scores, classifier.scores(images), atol=1 / 256 + 1e-6)
