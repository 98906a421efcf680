"""Any function on images is a classifier, and an error says what is wrong with its answers."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import onnxplain
from onnxplain.core.errors import ScoreError
from onnxplain.core.protocols import Classifier, Part
from onnxplain.runtime import from_callable
from tests.helpers import models
from tests.helpers.masks import compose_plainly, make_families
from tests.helpers.specs import SIZE, photos

W = models.weights(SIZE)


def score_linearly(images: Any) -> Any:
    return models.additive_scores(W, images)


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_the_function_is_called_with_images_and_its_scores_are_returned(batch_size: int) -> None:
    calls = []

    def function(images: Any) -> Any:
        calls.append((images.shape, images.dtype))
        return score_linearly(images)

    classifier: Classifier = from_callable(
        function, size=SIZE, n_classes=3, outputs="logits", batch_size=batch_size
    )
    images = photos(9)
    expected = score_linearly(images)
    np.testing.assert_allclose(classifier.scores(images), expected, rtol=1e-6, atol=1e-6)
    assert sum(shape[0] for shape, _ in calls) == 9
    assert all(shape[0] <= batch_size and shape[1:] == (*SIZE, 3) for shape, _ in calls)
    assert all(dtype == np.float32 for _, dtype in calls)


@pytest.mark.parametrize("family", make_families())
def test_masks_are_composed(family: str) -> None:
    image, fill = photos(2)
    masks = make_families()[family]
    classifier = from_callable(
        score_linearly, size=SIZE, n_classes=3, outputs="logits", batch_size=2
    )
    scores = classifier.masked_scores([Part(classifier.planes(image, fill), masks, 0, 5)])
    composed = compose_plainly([(image, fill, masks, 0, 5)], {"layout": "nhwc"})
    np.testing.assert_allclose(scores, score_linearly(composed), rtol=0, atol=1e-5)


def test_the_function_may_return_views_and_write_to_its_argument() -> None:
    def read_corner(images: Any) -> Any:
        images *= 2
        return images[:, 0, 0]

    images = photos(4)
    before = images.copy()
    classifier = from_callable(read_corner, size=SIZE, n_classes=3, batch_size=2)
    np.testing.assert_allclose(classifier.scores(images), 2 * before[:, 0, 0])
    np.testing.assert_array_equal(images, before)


def test_integers_and_lists_are_scores_too() -> None:
    classifier = from_callable(lambda x: [[1, 2]] * len(x), size=SIZE, class_names=["a", "b"])
    assert classifier.scores(photos(2)).tolist() == [[1, 2], [1, 2]]
    assert classifier.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (np.zeros((2, 4)), r"shape \(2, 3\).*got float64 of shape \(2, 4\)"),
        (np.zeros(2), r"got float64 of shape \(2,\)"),
        (np.zeros((1, 3)), r"got float64 of shape \(1, 3\)"),
        (np.full((2, 3), "x"), r"got <U1 of shape \(2, 3\)"),
        (None, "got object of shape"),
    ],
)
def test_answers_of_another_shape_or_type_are_refused(answer: Any, says: str) -> None:
    classifier = from_callable(lambda x: answer, size=SIZE, n_classes=3, name="mine")
    with pytest.raises(ScoreError, match=rf"mine: scores must be numbers.*{says}"):
        classifier.scores(photos(2))


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_calls_run_side_by_side_than_workers(workers: int) -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def score_slowly(images: Any) -> Any:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.01)
        with lock:
            inside -= 1
        return score_linearly(images)

    classifier = from_callable(score_slowly, size=SIZE, n_classes=3, workers=workers)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: classifier.scores(photos(1)), range(12)))
    assert most == workers


def pull_linearly(images: Any, weights: Any) -> Any:
    return np.einsum("nk,khwc->nhwc", weights, W)


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
@pytest.mark.parametrize("kind", ["probability", "log-odds", "logit"])
def test_gradients_are_those_of_the_same_network_as_a_graph(
    outputs: Any, kind: Any, tmp_path: Path
) -> None:
    def score(images: Any) -> Any:
        return models.additive_scores(W, images, outputs)

    def pull(images: Any, weights: Any) -> Any:
        if outputs == "probabilities":  # the softmax's adjoint
            p = score(images)
            weights = p * (weights - (p * weights).sum(axis=1, keepdims=True))
        return pull_linearly(images, weights)

    classifier = from_callable(
        score, size=SIZE, n_classes=3, outputs=outputs, gradient=pull, batch_size=2
    )
    path = models.save(models.additive(W, head=outputs), tmp_path / "net.onnx")
    graph = onnxplain.load(path, preprocessing="unit", device="cpu", batch_size=2)
    images, targets = photos(3), np.array([2, 0, 1])
    scores, gradients = classifier.gradients().score_grads(images, targets, kind)
    expected_scores, expected = graph.gradients().score_grads(images, targets, kind)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)
    np.testing.assert_allclose(gradients, expected, atol=1e-6)


@pytest.mark.parametrize("method", ["mp:n_steps=5", "mp2:grid=4", "fido:n_steps=5"])
def test_gradient_methods_run_on_a_numpy_network_as_on_its_graph(
    method: str, tmp_path: Path
) -> None:
    w = models.weights((32, 32), seed=3)

    def score(images: Any) -> Any:
        return models.additive_scores(w, images)

    classifier = from_callable(
        score,
        size=(32, 32),
        n_classes=3,
        outputs="logits",
        gradient=lambda images, weights: np.einsum("nk,khwc->nhwc", weights, w),
    )
    path = models.save(models.additive(w), tmp_path / "net.onnx")
    graph = onnxplain.load(path, preprocessing="unit", device="cpu", batch_size=8)
    photo = np.random.default_rng(0).random((32, 32, 3))
    mine, theirs = (onnxplain.explain(known, photo, method) for known in (classifier, graph))
    assert mine.parameters == theirs.parameters
    assert mine.heatmap.std() > 0
    np.testing.assert_allclose(mine.heatmap, theirs.heatmap, atol=1e-4)


def test_a_gradient_of_another_shape_is_refused() -> None:
    classifier = from_callable(
        score_linearly, size=SIZE, n_classes=3, gradient=lambda images, weights: images[:, 0]
    )
    with pytest.raises(ScoreError, match=r"gradient has the shape \(1, 10, 3\)"):
        classifier.gradients()


def test_best_classes_are_predicted_in_order() -> None:
    probabilities = np.array([0.125, 0.25, 0.125, 0.5])
    classifier = from_callable(
        lambda images: np.tile(probabilities, (len(images), 1)),
        size=SIZE,
        class_names=tuple("abcd"),
    )
    photo = np.zeros((20, 30, 3), np.uint8)
    best = classifier.predict(photo, top=3)
    assert best == [(3, "d", 0.5), (1, "b", 0.25), (0, "a", 0.125)]
    assert (best[0].index, best[0].name, best[0].score) == (3, "d", 0.5)
    assert len(classifier.predict(photo)) == 4
    file = io.BytesIO()
    PIL.Image.fromarray(photo).save(file, "PNG")
    assert classifier.predict(file.getvalue(), top=1) == best[:1]
    with pytest.raises(ValueError, match="top must be >= 1, got 0"):
        classifier.predict(photo, top=0)


def test_short_text_represents_a_classifier() -> None:
    classifier = from_callable(score_linearly, size=SIZE, n_classes=3, name="mine")
    assert repr(classifier) == "CallableClassifier('mine', 12 x 10, 3 classes)"
