"""What all methods of the image's gradient have in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import onnxplain
from onnxplain import (
    Black,
    DeconvNet,
    Gradient,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
)
from onnxplain.core.data import Case, Heatmap, Images
from onnxplain.engine.run import collect_values, make_jobs
from onnxplain.engine.settle import settle_method
from onnxplain.graph.surgery import prepend_subtraction
from onnxplain.runtime import OnnxClassifier
from tests.helpers import models
from tests.helpers.inside import open_model
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)
PLAIN = [
    Gradient(),
    Gradient(channels="sum"),
    InputXGradient(),
    IntegratedGradients(8),
    SmoothGrad(6),
    SmoothGrad(6, statistic="square"),
    SmoothGrad(6, statistic="variance", channels="l2"),
]
METHODS = [*PLAIN, DeconvNet(), GuidedBackprop(), SmoothGrad(6, of="guided-backprop")]


def explain(classifier: OnnxClassifier, method, images: Images, targets) -> list[Heatmap]:
    settled, gradients = settle_method(method, classifier)
    jobs = []
    for place, (image, target) in enumerate(zip(images, targets, strict=True)):
        jobs += make_jobs(settled, [Case(f"photo{place}", image, target)], Black(), 0)
    values = collect_values(classifier, jobs, gradients=gradients)
    return [value.heatmap for value in values]


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_five_images_give_what_each_gives_alone(method) -> None:
    classifier = open_model(models.convnet(SIZE), spec_of(size=SIZE, classes=5), batch_size=3)
    images, targets = photos(5, SIZE), (3, 0, 4, 1, 1)
    together = explain(classifier, method, images, targets)
    for place, heatmap in enumerate(together):
        settled, gradients = settle_method(method, classifier)
        case = Case(f"photo{place}", images[place], targets[place])
        (alone,) = collect_values(
            classifier, make_jobs(settled, [case], Black(), 0), gradients=gradients
        )
        scale = np.abs(alone.heatmap).max()
        assert scale > 0
        np.testing.assert_allclose(heatmap, alone.heatmap, atol=1e-5 * scale)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_map_does_not_change_if_the_graph_first_shifts_its_input(method) -> None:
    """Input invariance: gradients, noise and fill are of pixels, not of what enters the graph."""
    model, spec = models.convnet(SIZE), spec_of(size=SIZE, classes=5)
    shifted = prepend_subtraction(model, np.float32(0.5), input="image")
    moved = replace(spec, mean=tuple(m - 0.5 for m in spec.mean))
    images = photos(2, SIZE)
    plain = explain(open_model(model, spec), method, images, [2, 3])
    other = explain(open_model(shifted, moved), method, images, [2, 3])
    for one, two in zip(plain, other, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-4 * np.abs(one).max())


def make_numpy_network():
    """Make two layers with tanh between them in NumPy, and their gradient by hand."""
    rng = np.random.default_rng(0)
    w, v = rng.normal(size=(SIZE[0] * SIZE[1] * 3, 7)) / 20, rng.normal(size=(7, 3))

    def score(images):
        return np.tanh(images.reshape(len(images), -1) @ w) @ v

    def differentiate(images, weights):
        hidden = np.tanh(images.reshape(len(images), -1) @ w)
        return (((1 - hidden**2) * (weights @ v.T)) @ w.T).reshape(images.shape)

    return score, differentiate


@pytest.mark.parametrize("method", PLAIN, ids=repr)
def test_functions_with_a_gradient_have_all_maps_of_the_plain_gradient(method) -> None:
    score, differentiate = make_numpy_network()
    classifier = onnxplain.from_callable(
        score, size=SIZE, n_classes=3, outputs="logits", gradient=differentiate
    )
    photo = photos(1, SIZE)[0]
    fill = None if method.usual_fill == "none" else Black()
    found = onnxplain.explain(classifier, photo, method, target=1, fill=fill).heatmap
    one = np.eye(3)[[1]]
    wide = photo[None].astype(np.float64)
    if isinstance(method, Gradient | InputXGradient):
        slope = differentiate(wide, one)[0]
        factor = photo if isinstance(method, InputXGradient) else 1
        summed = (factor * slope).sum(axis=2)
        expected = np.abs(slope).max(axis=2) if method == Gradient() else summed
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    elif isinstance(method, IntegratedGradients):
        change = (score(wide) - score(0 * wide))[0, 1]
        assert found.sum() == pytest.approx(change, rel=1e-4)
        many = (np.arange(4000) + 0.5) / 4000  # the midpoint rule, far finer
        mean = np.mean([differentiate(a * wide, one)[0] for a in many], axis=0)
        expected = (photo * mean).sum(axis=2)
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    else:
        assert np.isfinite(found).all()
        assert np.abs(found).max() > 0


@pytest.mark.parametrize("method", [DeconvNet(), GuidedBackprop()], ids=repr)
def test_functions_have_no_rectifiers_to_pass(method) -> None:
    score, differentiate = make_numpy_network()
    classifier = onnxplain.from_callable(score, size=SIZE, n_classes=3, gradient=differentiate)
    with pytest.raises(onnxplain.OnnxplainError, match=f"{method.name} looks inside"):
        onnxplain.explain(classifier, photos(1, SIZE)[0], method)
