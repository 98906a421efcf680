"""Ablation-CAM against channels removed one by one."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper

import onnxplain
from onnxplain.core.inside import Tensors
from onnxplain.methods import AblationCAM
from tests.helpers import models
from tests.helpers.inside import add_softmax, explain, make_quantised, make_simulated, open_model
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)


def get_weights(model, name: str) -> np.ndarray:
    (found,) = (numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name)
    return found.astype(float)


def compute_map(values: np.ndarray, dense: np.ndarray, bias: np.ndarray, target: int) -> np.ndarray:
    """Equations 3 and 4 of the paper, if a mean over positions and a dense layer follow."""
    score = values.mean(axis=(1, 2)) @ dense[:, target] + bias[target]
    total = np.zeros(values.shape[1:])
    for c in range(len(values)):
        without = values.copy()
        without[c] = 0
        left = without.mean(axis=(1, 2)) @ dense[:, target] + bias[target]
        total += (score - left) / score * values[c]
    return total


def read_values(classifier, images, layer: str = "last") -> np.ndarray:
    wants = Tensors(classifier.find_layers(layer), gradients=False)
    found = classifier.look_inside(images, np.zeros(len(images), np.int64), wants)
    return found.layers[0][0].astype(float)


@pytest.mark.parametrize("head", ["logits", "probabilities"])
def test_map_is_that_of_the_paper(head: str) -> None:
    plain = models.convnet(SIZE)
    model = plain if head == "logits" else add_softmax(plain)
    classifier = open_model(model, spec_of(size=SIZE, classes=5, head=head))
    images, targets = photos(3, SIZE), (3, 0, 4)
    results = explain(classifier, AblationCAM(), images, targets)
    values = read_values(classifier, images)
    dense, bias = get_weights(plain, "w3"), get_weights(plain, "b3")
    for result, a, target in zip(results, values, targets, strict=True):
        expected = compute_map(a, dense, bias, target)
        np.testing.assert_allclose(result.coarse, expected, rtol=1e-4, atol=1e-5)
        score = a.mean(axis=(1, 2)) @ dense[:, target] + bias[target]
        assert result.details["negative_score"] == (score < 0)
        assert (result.details["forwards"], result.details["tails"]) == (1, 8)


def test_map_of_an_early_layer_is_that_of_whole_runs() -> None:
    """A channel of ``r1`` is removed by the weights of its convolution being 0."""
    plain, image = models.convnet(SIZE), photos(1, SIZE)
    classifier = open_model(plain, spec_of(size=SIZE, classes=5))
    (result,) = explain(classifier, AblationCAM(layer="stage:1"), image, [2])
    score, total = float(classifier.scores(image)[0, 2]), 0.0
    for c, channel in enumerate(read_values(classifier, image, "stage:1")[0]):
        changed = models.convnet(SIZE)
        (stored,) = (t for t in changed.graph.initializer if t.name == "w1")
        weights = numpy_helper.to_array(stored).copy()
        weights[c] = 0
        stored.CopyFrom(numpy_helper.from_array(weights, "w1"))
        without = open_model(changed, spec_of(size=SIZE, classes=5)).scores(image)[0, 2]
        total += (score - float(without)) / score * channel
    np.testing.assert_allclose(result.coarse, total, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [make_quantised, make_simulated])
def test_quantised_networks_have_maps(make) -> None:
    model = make(SIZE)
    classifier = open_model(model, spec_of(size=SIZE, classes=3))
    images, targets = photos(2, SIZE), (1, 2)
    dense = get_weights(model, "dense")
    for result, a, target in zip(
        explain(classifier, AblationCAM(), images, targets),
        read_values(classifier, images),
        targets,
        strict=True,
    ):
        expected = compute_map(a, dense, np.zeros(3), target)
        np.testing.assert_allclose(result.coarse, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", ["inner", "pooled"])
def test_layers_of_whole_numbers_are_quantised_again(layer: str) -> None:
    """A channel of 0 is one of the zero point, which is where the max-pooling begins here."""
    model, image = make_quantised(SIZE), photos(1, SIZE)
    classifier = open_model(model, spec_of(size=SIZE, classes=3))
    (result,) = explain(classifier, AblationCAM(layer=layer), image, [1])
    values, dense = read_values(classifier, image, layer)[0], get_weights(model, "dense")[:, 1]

    def score(a: np.ndarray) -> float:
        if layer == "inner":  # 14 x 18, pooled by 2
            a = a.reshape(4, 7, 2, 9, 2).max(axis=(2, 4))
        return float(a.mean(axis=(1, 2)) @ dense)

    total = 0.0
    for c, channel in enumerate(values):
        without = values.copy()
        without[c] = 0
        total += (score(values) - score(without)) / score(values) * channel
    np.testing.assert_allclose(result.coarse, total, rtol=1e-4, atol=1e-5)


def test_layers_that_do_not_carry_all_of_the_image_are_refused() -> None:
    model = models.convnet(SIZE)
    added = [
        helper.make_node("Sigmoid", ["c2"], ["side"]),
        helper.make_node("Add", ["r2", "side"], ["sum"]),
    ]
    for place, node in enumerate(added, start=5):
        model.graph.node.insert(place, node)
    model.graph.node[7].input[0] = "sum"
    classifier = open_model(model, spec_of(size=SIZE, classes=5))
    with pytest.raises(
        onnxplain.OnnxplainError, match=r"behind layer 'r2' cannot be run alone.*choose a layer"
    ):
        explain(classifier, AblationCAM(layer="r2"), photos(1, SIZE), [0])
