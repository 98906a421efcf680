"""The gradient as a method."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import onnxplain
from onnxplain.core.data import Case
from onnxplain.engine.run import collect_values, make_jobs
from onnxplain.engine.settle import settle_method
from onnxplain.fills.nothing import Nothing
from onnxplain.methods import Gradient
from tests.helpers import models
from tests.helpers.inside import add_softmax, open_model
from tests.helpers.nets import CurvedGradients, Net, curved
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)


@pytest.mark.parametrize("head", ["logits", "probabilities"])
def test_raw_gradient_of_a_weighted_sum_is_its_weights(head: str) -> None:
    w = models.weights(SIZE)
    classifier = open_model(models.additive(w, head=head), spec_of(size=SIZE, head=head))
    photo = photos(1, SIZE)[0]
    found = onnxplain.explain(classifier, photo, Gradient(channels="sum"), target=2)
    np.testing.assert_allclose(found.heatmap, w[2].sum(axis=2), rtol=1e-4, atol=1e-6)
    largest = onnxplain.explain(classifier, photo, "gradient", target=2)
    np.testing.assert_allclose(largest.heatmap, np.abs(w[2]).max(axis=2), rtol=1e-4)
    assert largest.details == {"score": "raw", "rules": None, "forwards": 1, "backwards": 1}
    assert largest.fill == "none"


def test_input_times_gradient_of_a_net_without_biases_is_its_score() -> None:
    """Rectifiers, max-pooling and means are homogeneous: sum x dz/dx = z."""
    model = models.convnet(SIZE)
    for stored in model.graph.initializer:
        if stored.name == "b3":
            stored.CopyFrom(models.numpy_helper.from_array(np.zeros(5, np.float32), "b3"))
    classifier = open_model(model, spec_of(size=SIZE, classes=5))
    images = photos(3, SIZE)
    _, grads = classifier.gradients().score_grads(images, np.array([1, 2, 3]), "raw")
    z = classifier.scores(images)[range(3), [1, 2, 3]]
    np.testing.assert_allclose((images * grads).sum(axis=(1, 2, 3)), z, rtol=1e-4, atol=1e-5)


def test_gradients_of_other_classifiers_are_used() -> None:
    rng = np.random.default_rng(0)
    weights = (rng.standard_normal((*SIZE, 3, 2)) * 0.05).astype(np.float32)
    slopes = CurvedGradients(weights)
    net = Net(curved(weights), SIZE, slopes=slopes)
    image = photos(1, SIZE)[0]
    method, gradients = settle_method(Gradient(score="log-odds", channels="sum"), net)
    jobs = make_jobs(method, [Case("photo", image, 1)], Nothing(), 0)
    (result,) = collect_values(net, jobs, gradients=gradients)
    _, expected = slopes.score_grads(image[None], np.array([1]), "log-odds")
    np.testing.assert_allclose(result.heatmap, expected[0].sum(axis=2), rtol=1e-5)


def test_single_logit_has_gradients_of_both_signs() -> None:
    model = models.additive(models.weights(SIZE, classes=1))
    classifier = open_model(model, spec_of(size=SIZE, classes=2, head="logit"))
    photo, sums = photos(1, SIZE)[0], Gradient(channels="sum")
    maps = [onnxplain.explain(classifier, photo, sums, target=t).heatmap for t in (0, 1)]
    np.testing.assert_allclose(maps[0], -maps[1], rtol=1e-5)
    assert np.abs(maps[1]).max() > 0


def test_file_without_logits_is_refused_with_advice() -> None:
    model = add_softmax(models.convnet(SIZE))
    model.graph.node[-1].output[0] = "p"
    model.graph.node.append(helper.make_node("Abs", ["p"], ["scores"]))
    classifier = open_model(model, spec_of(size=SIZE, classes=5, head="probabilities"))
    with pytest.raises(onnxplain.OnnxplainError, match="choose the score logit, log-odds or"):
        onnxplain.explain(classifier, photos(1, SIZE)[0], "gradient")
