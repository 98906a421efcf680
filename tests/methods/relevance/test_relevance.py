"""Relevance propagation on a small chain of layers: the slow definition, and what must hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxplain import LRP, DeepTaylor, InputXGradient
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import Method
from onnxplain.methods.relevance.composites import COMPOSITES
from tests.helpers import models
from tests.helpers.chains import (
    BOUNDS,
    CLASSES,
    MEAN,
    SIZE,
    SPEC,
    STD,
    draw_weights,
    make_net,
    make_steps,
    to_values,
)
from tests.helpers.inside import explain, open_model
from tests.helpers.nets import Picture
from tests.helpers.specs import photos, spec_of
from tests.reference.relevance import Numbers, hand_down, run

node = helper.make_node


def hand_down_score(
    method: Method, weights: dict[str, Any], image: NDArray[np.float32], target: int, **kinds: bool
) -> NDArray[np.float64]:
    steps, x = make_steps(weights, **kinds), to_values(image)
    scores = run(steps, x)[-1]
    start = np.zeros(CLASSES)
    start[target] = scores[target]
    if isinstance(method, LRP):
        rules = dict(COMPOSITES[method.composite])
        numbers = Numbers(method.epsilon, method.gamma, zero_bias=method.zero_bias)
    else:
        assert isinstance(method, DeepTaylor)
        start = np.maximum(start, 0)
        rules = {"first": method.first, "conv": "zplus", "dense": "zplus", "last": "wsquare"}
        numbers = Numbers(zero_bias=True)
    relevance = hand_down(steps, x, start, rules, BOUNDS, numbers)
    return relevance.reshape(3, *SIZE).sum(axis=0)


METHODS = [
    *(LRP(composite) for composite in COMPOSITES),
    *(LRP(composite, zero_bias=True) for composite in COMPOSITES),
    *(LRP("epsilon", epsilon=0.3), LRP("gamma", gamma=3.0)),
    *(DeepTaylor(), DeepTaylor("wsquare")),
]


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_map_is_that_of_the_definition(method: Method) -> None:
    weights, images = draw_weights(), photos(3, SIZE)
    classifier = open_model(make_net(weights), SPEC)
    scores = classifier.scores(images)
    targets = [int(t) for t in (scores.argmax(axis=1))]
    for image, target, found in zip(
        images, targets, explain(classifier, method, list(images), targets), strict=True
    ):
        expected = hand_down_score(method, weights, image, target)
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(
            found.heatmap, expected, atol=2e-5 * np.abs(expected).max(), rtol=1e-4
        )


@pytest.mark.parametrize("composite", COMPOSITES)
def test_score_is_conserved_in_nets_without_biases(composite: Any) -> None:
    """All of it arrives, to the rounding of float32 and the 1e-6 in denominators."""
    weights, images = draw_weights(), photos(4, SIZE)
    classifier = open_model(make_net(weights, bias=False), SPEC)
    targets = [int(t) for t in classifier.scores(images).argmax(axis=1)]
    for found in explain(classifier, LRP(composite), list(images), targets):
        assert found.details["conserved"] == pytest.approx(1, abs=1e-4)
        assert found.details["relevance"] == pytest.approx(found.heatmap.sum(), rel=1e-4)


def test_epsilon_is_input_times_gradient() -> None:
    """With the fill that is 0 inside the model, the mean, as every bias is absorbed."""
    weights, images = draw_weights(), photos(2, SIZE)
    spec = spec_of(size=SIZE, classes=CLASSES, mean=(0.5,) * 3, std=STD)
    classifier = open_model(make_net(weights), spec)
    plain = explain(classifier, InputXGradient(), list(images), [1, 1], Picture(0.5))
    found = explain(classifier, LRP("epsilon"), list(images), [1, 1])
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-4)


def test_gamma_of_0_is_epsilon() -> None:
    weights, images = draw_weights(), list(photos(2, SIZE))
    classifier = open_model(make_net(weights), SPEC)
    methods = LRP("gamma", gamma=0), LRP("epsilon")
    none, plain = (explain(classifier, method, images, [1, 1]) for method in methods)
    for one, other in zip(none, plain, strict=True):
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-4)


def test_deep_taylor_has_no_negative_part_and_keeps_what_is_positive() -> None:
    weights, images = draw_weights(), list(photos(6, SIZE))
    classifier = open_model(make_net(weights, bias=False), SPEC)
    scores = classifier.scores(np.array(images))
    for target in range(CLASSES):
        found = explain(classifier, DeepTaylor(), images, [target] * len(images))
        for one, score in zip(found, scores[:, target], strict=True):
            assert one.heatmap.min() >= -1e-6 * np.abs(one.heatmap).max()
            if score <= 0:
                assert not one.heatmap.any()
            else:
                assert 0 < one.details["conserved"] < 1.001


def test_model_without_a_layer_that_reads_the_image_is_refused_by_composites_with_one() -> None:
    pooled = models.model(
        [
            node("AveragePool", ["image"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Conv", ["p", "w"], ["a"]),
            node("GlobalAveragePool", ["a"], ["g"]),
            node("Flatten", ["g"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, ["N", 3, *SIZE])},
        {"scores": (TensorProto.FLOAT, ["N", CLASSES])},
        {"w": np.ones((CLASSES, 3, 3, 3), np.float32)},
    )
    classifier = open_model(pooled, SPEC)
    with pytest.raises(ModelError, match="no layer of weights reads the image itself"):
        explain(classifier, LRP(), list(photos(1, SIZE)), [1])
    (found,) = explain(classifier, LRP("epsilon"), list(photos(1, SIZE)), [1])
    assert found.details["conserved"] == pytest.approx(1, abs=1e-4)


def test_normalisation_inside_the_graph_makes_no_difference() -> None:
    """The rules of the layer at the image see the same values, and pixels keep their relevance."""
    weights, images = draw_weights(), list(photos(2, SIZE))
    inner = make_net(weights)
    for entry in inner.graph.node:
        entry.input[:] = ["normal" if name == "image" else name for name in entry.input]
    front = [node("Sub", ["image", "mean"], ["less"]), node("Div", ["less", "std"], ["normal"])]
    held = [*front, *inner.graph.node]
    del inner.graph.node[:]
    inner.graph.node.extend(held)
    for name, value in (("mean", MEAN), ("std", STD)):
        column = np.array(value, np.float32).reshape(1, 3, 1, 1)
        inner.graph.initializer.append(numpy_helper.from_array(column, name))
    own = open_model(inner, spec_of(size=SIZE, classes=CLASSES))
    usual = open_model(make_net(weights), SPEC)
    for method in (LRP(), LRP("epsilon-gamma-box"), DeepTaylor(), LRP("epsilon")):
        pairs = zip(*(explain(one, method, images, [2, 2]) for one in (own, usual)), strict=True)
        for one, other in pairs:
            np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-5)


def test_factor_without_a_slope_gets_no_share() -> None:
    """A rectifier written as ``z * (z > 0)``, of which the comparison counts as constant."""
    rng, size = np.random.default_rng(0), (6, 6)
    weights = {"w1": rng.normal(size=(5, 3, 3, 3)), "w2": rng.normal(size=(80, 3)), "zero": 0}
    nodes = [
        node("Conv", ["image", "w1"], ["z"]),
        node("Greater", ["z", "zero"], ["is"]),
        node("Cast", ["is"], ["gate"], to=TensorProto.FLOAT),
        node("Mul", ["z", "gate"], ["r"]),
        node("Flatten", ["r"], ["flat"]),
        node("MatMul", ["flat", "w2"], ["scores"]),
    ]
    inputs = {"image": (TensorProto.FLOAT, ["N", 3, *size])}
    outputs = {"scores": (TensorProto.FLOAT, ["N", 3])}
    tensors = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    written = models.model(nodes, inputs, outputs, tensors)
    nodes[1:4] = [node("Relu", ["z"], ["r"])]
    rectified = models.model(nodes, inputs, outputs, tensors)
    image = photos(1, size)[0]
    found, expected = (
        explain(open_model(model, spec_of(size=size, classes=3)), LRP(), [image], [0])[0].heatmap
        for model in (written, rectified)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
