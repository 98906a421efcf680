"""Excitation backprop against its definition, and what must hold of its probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxplain import MWP, ContrastiveMWP
from onnxplain.core.errors import ModelError
from tests.helpers import models
from tests.helpers.chains import (
    BOUNDS,
    CLASSES,
    SIZE,
    SPEC,
    draw_weights,
    make_net,
    make_steps,
    to_values,
)
from tests.helpers.inside import explain, open_model
from tests.helpers.specs import photos, spec_of
from tests.reference.relevance import hand_down

node = helper.make_node
# The steps in front of which these tensors stand.
PLACES = {"r1": (2, (4, 8, 10)), "m1": (3, (4, 4, 5)), "r2": (5, (5, 2, 3))}


@pytest.mark.parametrize("layer", PLACES)
@pytest.mark.parametrize("method", [MWP, ContrastiveMWP])
def test_map_is_that_of_the_definition(method: type[MWP | ContrastiveMWP], layer: str) -> None:
    weights, images = draw_weights(), photos(3, SIZE)
    classifier = open_model(make_net(weights), SPEC)
    place, shape = PLACES[layer]
    rules = {"conv": "excitation", "dense": "excitation"}
    if method is ContrastiveMWP:
        rules["last"] = "contrastive"
    totals = []
    for target in range(CLASSES):
        found = explain(classifier, method(layer=layer), list(images), [target] * 3)
        for image, one in zip(images, found, strict=True):
            start = np.eye(CLASSES)[target]
            steps = make_steps(weights)
            expected = (
                hand_down(steps, to_values(image), start, rules, BOUNDS, down_to=place)
                .reshape(shape)
                .sum(axis=0)
            )
            assert one.coarse is not None
            np.testing.assert_allclose(one.coarse, expected, atol=1e-5)
            if method is MWP:
                assert one.coarse.min() >= 0
                totals.append(one.details["relevance"])
    if method is MWP:  # all of it, or nothing where no neuron excites the class
        assert all(min(abs(total), abs(total - 1)) < 1e-4 for total in totals)
        assert max(totals) > 0.999


def test_classes_of_opposite_weights_have_opposite_contrasts() -> None:
    weights = draw_weights()
    weights["w4"][1] = -weights["w4"][0]
    classifier = open_model(make_net(weights), SPEC)
    images = list(photos(2, SIZE))
    first, second = (
        explain(classifier, ContrastiveMWP(layer="m1"), images, [target] * 2) for target in (0, 1)
    )
    for one, other in zip(first, second, strict=True):
        assert one.coarse is not None
        assert other.coarse is not None
        assert np.abs(one.coarse).max() > 0.01
        np.testing.assert_allclose(one.coarse, -other.coarse, atol=1e-6)


def test_contrast_needs_a_last_layer_without_an_activation() -> None:
    model = models.model(
        [
            node("Conv", ["image", "w"], ["a"], pads=[1, 1, 1, 1]),
            node("Relu", ["a"], ["r"]),
            node("GlobalAveragePool", ["r"], ["g"]),
            node("Flatten", ["g"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, ["N", 3, *SIZE])},
        {"scores": (TensorProto.FLOAT, ["N", CLASSES])},
        {"w": np.random.default_rng(2).normal(size=(CLASSES, 3, 3, 3)).astype(np.float32)},
    )
    classifier = open_model(model, spec_of(size=SIZE, classes=CLASSES))
    with pytest.raises(ModelError, match="activation stands between the last layer"):
        explain(classifier, ContrastiveMWP(layer="r"), list(photos(1, SIZE)), [1])
    (found,) = explain(classifier, MWP(layer="r"), list(photos(1, SIZE)), [1])
    assert found.details["relevance"] == pytest.approx(1, abs=1e-4)
