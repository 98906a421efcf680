"""Meta-saliency: the step of training, and other methods after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxplain import Gradient, MetaSaliency, NormGrad
from onnxplain.core.errors import ModelError
from onnxplain.core.inside import Tensors
from onnxplain.methods.relevance.meta_saliency import OF
from tests.helpers import models
from tests.helpers.chains import CLASSES, SIZE, SPEC, draw_weights, make_net
from tests.helpers.inside import explain, open_model
from tests.helpers.specs import photos, spec_of

PLAIN = spec_of(size=SIZE, classes=CLASSES)


def make_linear(batch: int | str = "N") -> Any:
    """Make a network of one dense layer, of which all is known."""
    rng = np.random.default_rng(7)
    w = (rng.normal(size=(CLASSES, 3 * SIZE[0] * SIZE[1])) / 10).astype(np.float32)
    b = rng.normal(size=CLASSES).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["scores"], transB=1),
    ]
    net = models.model(
        nodes,
        {"image": (TensorProto.FLOAT, [batch, 3, *SIZE])},
        {"scores": (TensorProto.FLOAT, [batch, CLASSES])},
        {"w": w, "b": b},
    )
    return net, w.astype(np.float64), b.astype(np.float64)


@pytest.mark.parametrize("rate", [0.1, -0.1])
def test_step_of_one_layer_is_its_closed_form(rate: float) -> None:
    """``w_t + rate (1 - p_t) x`` is the target's row after the step."""
    net, w, b = make_linear()
    images = photos(3, SIZE)
    x = images.transpose(0, 3, 1, 2).reshape(3, -1).astype(np.float64)
    scores = x @ w.T + b
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    target = 2
    found = explain(
        open_model(net, PLAIN), MetaSaliency("gradient", rate=rate), list(images), [2] * 3
    )
    for one, row, own in zip(found, x, p, strict=True):
        slopes = (w[target] + rate * (1 - own[target]) * row).reshape(3, *SIZE)
        np.testing.assert_allclose(one.heatmap, np.abs(slopes).max(axis=0), rtol=2e-4, atol=1e-6)
        assert (one.details["of"], one.details["rate"]) == ("gradient", rate)


def test_step_makes_the_class_more_probable() -> None:
    """The reader returns the scores after the step."""
    classifier = open_model(make_net(draw_weights()), SPEC)
    images, targets = photos(5, SIZE), np.full(5, 1)

    def compute_losses(rate: float) -> np.ndarray:
        scores = classifier.look_inside(images, targets, Tensors(image=True, rate=rate)).scores
        losses: np.ndarray = np.log(np.exp(scores - scores[:, 1:2]).sum(axis=1))
        return losses

    before = compute_losses(0)
    assert (compute_losses(0.01) < before).all()
    assert (compute_losses(-0.01) > before).all()
    small = (compute_losses(1e-3) - before) / 1e-3
    large = (compute_losses(2e-3) - before) / 2e-3
    np.testing.assert_allclose(small, large, rtol=0.1)  # minus the squared length of the slope


def test_without_a_step_it_is_the_other_method() -> None:
    classifier = open_model(make_net(draw_weights()), SPEC)
    images = list(photos(2, SIZE))
    for one, other in zip(
        explain(classifier, MetaSaliency("gradient", rate=0.0), images, [1, 2]),
        explain(classifier, Gradient(), images, [1, 2]),
        strict=True,
    ):
        np.testing.assert_array_equal(one.heatmap, other.heatmap)


def test_norm_grad_of_order_1_is_meta_saliency_of_it() -> None:
    classifier = open_model(make_net(draw_weights()), SPEC)
    images = list(photos(2, SIZE))
    one = explain(classifier, NormGrad(order=1), images, [1, 2])
    other = explain(classifier, MetaSaliency("norm-grad"), images, [1, 2])
    plain = explain(classifier, NormGrad(), images, [1, 2])
    for first, second, third in zip(one, other, plain, strict=True):
        np.testing.assert_array_equal(first.heatmap, second.heatmap)
        assert np.abs(first.heatmap - third.heatmap).max() > 1e-3 * np.abs(third.heatmap).max()


@pytest.mark.parametrize("of", OF)
def test_every_method_runs_after_a_step_of_each_image_alone(of: Any) -> None:
    classifier = open_model(make_net(draw_weights()), SPEC)
    images = list(photos(2, SIZE))
    method = MetaSaliency(of, rate=0.05)
    together = explain(classifier, method, images, [1, 2])
    (alone,) = explain(classifier, method, images[1:], [2])
    np.testing.assert_allclose(
        together[1].heatmap, alone.heatmap, atol=1e-5 * np.abs(alone.heatmap).max()
    )


def test_model_of_a_fixed_batch_is_refused() -> None:
    net, _, _ = make_linear(batch=2)
    with pytest.raises(ModelError, match="takes 2 images per call"):
        explain(open_model(net, PLAIN, 2), MetaSaliency("gradient"), list(photos(1, SIZE)), [1])


def test_layer_is_that_of_the_other_method() -> None:
    assert MetaSaliency("grad-cam").layer == "last"
    assert MetaSaliency("grad-cam", "stage:1").layer == "stage:1"
    assert MetaSaliency("gradient").layer == ""
    with pytest.raises(ValueError, match="gradient looks at no layer, got 'last'"):
        MetaSaliency("gradient", "last")
