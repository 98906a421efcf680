"""An image has one answer, alone or with others, now or later; or the model is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

import onnxplain
from onnxplain.core.errors import ModelError
from onnxplain.core.protocols import Part
from onnxplain.masks.families import SegmentMasks
from onnxplain.runtime import OnnxClassifier, load_classifier
from onnxplain.runtime.opening import ComposingPlace
from tests.helpers import models, random_models
from tests.helpers.random_models import SIZE, W
from tests.helpers.specs import photos

UNIT = {"preprocessing": "unit"}


def load(proto: ModelProto, folder: Path, **flags: object) -> OnnxClassifier:
    path = models.save(proto, folder / "net.onnx")
    return load_classifier(path, device="cpu", flags={**UNIT, "head": "logits", **flags})


def score_alone(classifier: OnnxClassifier, images: np.ndarray) -> np.ndarray:
    return np.concatenate([classifier.scores(image[None]) for image in images])


@pytest.mark.parametrize("batch", [1, 2, 5, "N"])
def test_images_that_the_graph_mixes_are_run_alone(batch: int | str, tmp_path: Path) -> None:
    """Alone, the mean of the batch is the image's own answer, so half of it is left."""
    classifier, images = load(random_models.mixing(batch), tmp_path), photos(6, SIZE)
    assert (classifier.batch_size, classifier.batch.images) == (1, 1)
    assert classifier.batch.alone == (batch in (2, 5))
    expected = models.additive_scores(W, images) / 2
    np.testing.assert_allclose(classifier.scores(images), expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(classifier.scores(images), score_alone(classifier, images))


@pytest.mark.parametrize("batch", [1, 3, "N"])
def test_images_quantised_by_the_extremes_of_a_batch_are_run_alone(
    batch: int | str, tmp_path: Path
) -> None:
    classifier, images = load(random_models.quantising(batch), tmp_path), photos(6, SIZE)
    images = images * np.linspace(0.2, 1, 6, dtype=np.float32)[:, None, None, None]
    assert classifier.batch_size == 1
    expected = models.additive_scores(W, random_models.quantise(images))
    np.testing.assert_allclose(classifier.scores(images), expected, rtol=0, atol=1e-5)


def test_a_scan_over_the_batch_that_carries_a_sum_is_run_alone(tmp_path: Path) -> None:
    classifier, images = load(random_models.looping(), tmp_path), photos(4, SIZE)
    assert classifier.batch_size == 1
    expected = models.additive_scores(W, images)
    np.testing.assert_allclose(classifier.scores(images), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [2, 8])
def test_a_fixed_batch_is_proved(batch: int, tmp_path: Path) -> None:
    classifier, images = load(models.additive(W, batch=batch), tmp_path), photos(5, SIZE)
    assert classifier.batch.images == classifier.batch_size == batch
    assert "7 images agree within" in classifier.batch.text
    expected = models.additive_scores(W, images)
    np.testing.assert_allclose(classifier.scores(images), expected, rtol=0, atol=1e-5)


def test_a_fixed_batch_without_an_answer_per_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="fixes the batch at 4, and an image has no answer of its"):
        load(random_models.shuffling(4), tmp_path)


@pytest.mark.parametrize("compose", ["host", "graph"])
def test_masked_images_fill_their_calls_alone(compose: ComposingPlace, tmp_path: Path) -> None:
    path = models.save(random_models.mixing(4), tmp_path / "net.onnx")
    classifier = load_classifier(
        path, device="cpu", flags={**UNIT, "head": "logits"}, compose=compose
    )
    segments = np.repeat(np.arange(4), 16).reshape(SIZE)
    masks = SegmentMasks(segments, np.random.default_rng(0).integers(0, 2, (6, 4), np.uint8))
    image = photos(1, SIZE)[0]
    planes = classifier.planes(image, np.zeros_like(image))
    scores = classifier.masked_scores([Part(planes, masks, 0, 6)])
    composed = image * (1 - masks.render(0, 6)[..., None])
    expected = models.additive_scores(W, composed) / 2
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_heatmaps_do_not_depend_on_other_images(tmp_path: Path) -> None:
    classifier, images = load(random_models.mixing(4), tmp_path), photos(2, SIZE)
    method = onnxplain.RISE(n_masks=20, grid=3)
    alone = onnxplain.explain(classifier, images[0], method, target=1)
    many = onnxplain.explain_many(classifier, list(images), method, target=1)
    together = {explanation.image: explanation for explanation in many}  # in any order
    assert together.keys() == {"image-0", "image-1"}
    np.testing.assert_array_equal(alone.heatmap, together["image-0"].heatmap)


@pytest.mark.parametrize("batch", [3, "N"])
def test_gradients_are_those_of_images_alone(batch: int | str, tmp_path: Path) -> None:
    classifier, images = load(random_models.mixing(batch), tmp_path), photos(3, SIZE)
    gradients, targets = classifier.gradients(), np.array([0, 1, 2])
    scores, grads = gradients.score_grads(images, targets, "logit")
    np.testing.assert_allclose(scores, models.additive_scores(W, images) / 2, rtol=0, atol=1e-5)
    one = [gradients.score_grads(images[i : i + 1], targets[i : i + 1], "logit") for i in range(3)]
    np.testing.assert_array_equal(grads, np.concatenate([each for _, each in one]))


@pytest.mark.parametrize("batch", [1, 3, "N"])
@pytest.mark.parametrize(
    ("make", "node", "advice"),
    [
        (random_models.noisy, "RandomNormalLike 'noise' draws new numbers", "without it"),
        (
            lambda batch: random_models.dropping(training=True, batch=batch),
            "Dropout 'drop'",
            "eval",
        ),
        (random_models.secretly_dropping, "Dropout 'drop' may be in training mode", "eval"),
        (random_models.normalising, "BatchNormalization 'bn' is in training mode", "model.eval()"),
    ],
)
def test_random_answers_are_refused_and_the_node_is_named(
    make: Callable[[int | str], ModelProto],
    node: str,
    advice: str,
    batch: int | str,
    tmp_path: Path,
) -> None:
    proto = make(batch)
    with pytest.raises(ModelError) as caught:
        load(proto, tmp_path)
    for part in (node, advice, "--allow-random"):
        assert part in str(caught.value)


@pytest.mark.parametrize("batch", [1, 3, "N"])
def test_who_means_it_gets_random_answers(
    batch: int | str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        classifier = load(random_models.noisy(batch), tmp_path, allow_random=True)
    assert "its answers are random" in caplog.text
    assert "RandomNormalLike 'noise'" in classifier.provenance["batch"]
    assert classifier.provenance["preprocessing"]["allow_random"] is True
    images = np.repeat(photos(1, SIZE), 400, axis=0)
    scores = classifier.scores(images)
    # normal noise of deviation 1: its mean over 400 draws is known to .05
    expected = models.additive_scores(W, images)
    np.testing.assert_allclose(scores.mean(axis=0), expected[0], rtol=0, atol=0.25)
    np.testing.assert_allclose(scores.std(axis=0), 1, rtol=0, atol=0.2)


def test_features_and_gradients_are_refused_likewise(tmp_path: Path) -> None:
    path = models.save(random_models.noisy(), tmp_path / "net.onnx")
    for use in (onnxplain.load_features, onnxplain.gradient_graph):
        with pytest.raises(ModelError, match="RandomNormalLike"):
            use(path, preprocessing="unit", head="logits")


def test_the_refusal_is_remembered(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="two answers to the same image differ by"):
        load(random_models.secretly_dropping(), tmp_path)
    monkeypatch.setattr("onnxplain.runtime.batch_support.open_session", None)  # not called again
    with pytest.raises(ModelError, match="two answers to the same image differ by"):
        load(random_models.secretly_dropping(), tmp_path)
