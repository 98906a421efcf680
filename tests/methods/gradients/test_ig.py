"""Integrated gradients: completeness, exact cases, and the gap that the record states."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain
from onnxplain import Colour, from_callable
from onnxplain.core.scores import to_probabilities
from onnxplain.methods import InputXGradient, IntegratedGradients
from tests.helpers import models
from tests.helpers.inside import open_model
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)


def make_cubic(rng: np.random.Generator) -> onnxplain.runtime.callable.CallableClassifier:
    """Make a classifier whose logits are cubic in every pixel: the gradient is quadratic."""
    w = rng.normal(size=(2, *SIZE, 3)) / 100

    def score(images: np.ndarray) -> np.ndarray:
        wide = images.astype(np.float64)
        return np.einsum("nhwc,khwc->nk", wide**3 - wide, w)

    def differentiate(images: np.ndarray, weights: np.ndarray) -> np.ndarray:
        wide = images.astype(np.float64)
        return np.einsum("nk,khwc->nhwc", weights, w) * (3 * wide**2 - 1)

    return from_callable(score, size=SIZE, n_classes=2, outputs="logits", gradient=differentiate)


def test_two_points_are_exact_for_a_cubic_score_on_any_function_with_a_gradient() -> None:
    classifier = make_cubic(np.random.default_rng(0))
    photo = photos(1, SIZE)[0]
    method = IntegratedGradients(n_points=2, tolerance=0)
    found = onnxplain.explain(classifier, photo, method, target=1, fill=Colour((0.2, 0.5, 0.8)))
    baseline = np.broadcast_to(np.float32([0.2, 0.5, 0.8]), photo.shape)
    scores = classifier.scores(np.stack([photo, baseline]))[:, 1]
    assert found.heatmap.sum() == pytest.approx(scores[0] - scores[1], abs=1e-5)
    assert found.details["gap"] < 1e-3
    many = onnxplain.explain(
        classifier, photo, IntegratedGradients(64), target=1, fill=Colour((0.2, 0.5, 0.8))
    )
    np.testing.assert_allclose(found.heatmap, many.heatmap, atol=1e-6)


def test_points_are_doubled_until_the_gap_is_small_on_a_net_with_rectifiers() -> None:
    classifier = open_model(models.convnet(SIZE), spec_of(size=SIZE, classes=5))
    photo = photos(1, SIZE)[0]
    options = {"score": "probability", "n_points": 1}
    rough, fine = (
        onnxplain.explain(classifier, photo, IntegratedGradients(**options, tolerance=t), target=3)
        for t in (0.0, 1e-5)
    )
    assert rough.details["points"] == 1 < fine.details["points"]
    assert fine.details["gap"] <= 1e-5 or fine.details["points"] == 256
    assert fine.details["gap"] < rough.details["gap"]
    both = to_probabilities(classifier.scores(np.stack([photo, np.zeros_like(photo)])), "logits")
    change = both[0, 3] - both[1, 3]
    assert fine.details["change"] == pytest.approx(change, rel=1e-3)
    assert fine.heatmap.sum() == pytest.approx(change, rel=1e-3)


def test_recorded_gap_is_that_of_the_map() -> None:
    classifier = open_model(models.convnet(SIZE), spec_of(size=SIZE, classes=5))
    photo = photos(1, SIZE)[0]
    method = IntegratedGradients(2, tolerance=0)
    found = onnxplain.explain(classifier, photo, method, target=3, fill="white")
    z = classifier.scores(np.stack([photo, np.ones_like(photo)]))[:, 3].astype(np.float64)
    change, total = z[0] - z[1], found.heatmap.sum(dtype=np.float64)
    expected = abs(total - change) / max(abs(total), abs(change))
    assert expected > 1e-4  # two points are few
    assert found.details["gap"] == pytest.approx(expected, rel=1e-2)


@pytest.mark.slow
def test_gap_falls_with_the_number_of_points_on_a_real_network() -> None:
    """It does not fall at every step: the slope along the path jumps with every rectifier."""
    classifier = onnxplain.load("efficientnet-lite0", device="cpu", batch_size=8)
    photo = photos(1, classifier.size)[0]
    gaps = [
        onnxplain.explain(classifier, photo, IntegratedGradients(n, tolerance=0)).details["gap"]
        for n in (1, 256)
    ]
    assert gaps[1] < 0.05
    assert gaps[1] < gaps[0] / 4


def test_of_a_weighted_sum_both_are_the_weights_times_the_difference() -> None:
    w = models.weights(SIZE)
    classifier = open_model(models.additive(w), spec_of(size=SIZE))
    photo = photos(1, SIZE)[0]
    expected = (w[2] * (photo - 0.5)).sum(axis=2)
    for method in (IntegratedGradients(1, tolerance=0), InputXGradient()):
        found = onnxplain.explain(classifier, photo, method, target=2, fill=Colour((0.5, 0.5, 0.5)))
        np.testing.assert_allclose(found.heatmap, expected, rtol=1e-4, atol=1e-5)
        assert found.fill == "colour"


def test_a_shift_in_front_of_the_model_changes_nothing_if_the_fill_moves_along() -> None:
    """Input invariance: f(x - m) explained at x + m with the fill moved by m."""
    w, shift = models.weights(SIZE), 0.25
    plain = open_model(models.additive(w), spec_of(size=SIZE))
    moved = open_model(models.additive(w), spec_of(size=SIZE, mean=(shift,) * 3, std=(1.0,) * 3))
    photo = (photos(1, SIZE)[0] * 0.5).astype(np.float32)
    for method in (IntegratedGradients(4, tolerance=0), InputXGradient()):
        one = onnxplain.explain(plain, photo, method, target=1, fill=Colour((0.1, 0.1, 0.1)))
        other = onnxplain.explain(
            moved, photo + np.float32(shift), method, target=1, fill=Colour((0.35, 0.35, 0.35))
        )
        np.testing.assert_allclose(one.heatmap, other.heatmap, rtol=1e-3, atol=1e-5)
