"""Outputs of every head become scores (N, K)."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.core.errors import ModelError
from onnxplain.core.spec import OUTPUTS
from onnxplain.runtime.head import decode_scores
from tests.helpers import models
from tests.helpers.specs import SIZE, classifier_of, photos, spec_of


@pytest.mark.parametrize("head", ["logits", "probabilities"])
def test_axes_of_size_one_are_dropped(head: str) -> None:
    w, images = models.weights(SIZE), photos(3)
    classifier = classifier_of(models.additive(w, head=head, output_rank=4), spec_of(head=head))
    assert classifier.outputs == head
    np.testing.assert_allclose(
        classifier.scores(images), models.additive_scores(w, images, head), rtol=0, atol=2e-5
    )


@pytest.mark.parametrize("output_rank", [2, 4])
@pytest.mark.parametrize(
    ("head", "end"), [("multilabel-logits", "logits"), ("multilabel-probabilities", "sigmoid")]
)
def test_scores_of_independent_labels_are_those_of_the_graph(
    head: str, end: str, output_rank: int
) -> None:
    w, images = models.weights(SIZE), photos(3)
    model = models.additive(w, head=end, output_rank=output_rank)
    classifier = classifier_of(model, spec_of(head=head))
    assert classifier.outputs == head
    expected = models.additive_scores(w, images, end)
    np.testing.assert_allclose(classifier.scores(images), expected, rtol=0, atol=2e-5)


def test_one_probability_becomes_two() -> None:
    w, images = models.weights(SIZE, 1), photos(3)
    classifier = classifier_of(
        models.additive(w, head="sigmoid"), spec_of(head="probability", classes=2)
    )
    p = models.additive_scores(w, images, "sigmoid")
    assert classifier.outputs == "probabilities"
    np.testing.assert_allclose(classifier.scores(images), np.hstack([1 - p, p]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("output_rank", [1, 2])
def test_a_single_logit_becomes_two(output_rank: int) -> None:
    w, images = models.weights(SIZE, 1), photos(3)
    model = models.additive(w, output_rank=output_rank)
    classifier = classifier_of(model, spec_of(head="logit", classes=2))
    z = models.additive_scores(w, images)
    assert classifier.outputs == "logits"
    np.testing.assert_allclose(classifier.scores(images), np.hstack([0 * z, z]), rtol=0, atol=2e-5)


def test_quantised_output_is_dequantised() -> None:
    w, images = models.weights(SIZE), photos(3)
    classifier = classifier_of(
        models.quantised(w, scale=1 / 200, zero=10),
        spec_of(
            layout="nhwc",
            dtype="uint8",
            range=(0, 255),
            head="probabilities",
            output_scale=(1 / 200, 10),
        ),
        batch_size=1,
        fixed=1,
    )
    expected = models.additive_scores(w, images, "probabilities")
    np.testing.assert_allclose(classifier.scores(images), expected, rtol=0, atol=0.5 / 200 + 1e-6)


def test_wrong_number_of_classes_is_an_error_that_names_the_shape() -> None:
    classifier = classifier_of(models.additive(models.weights(SIZE, 3)), spec_of(classes=4))
    with pytest.raises(ModelError, match=r"shape \(2, 3\).*4 classes"):
        classifier.scores(photos(2))


@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        ("logits", "logits"),
        ("logit", "logits"),
        ("probability", "probabilities"),
        ("probabilities", "probabilities"),
        ("multilabel-logits", "multilabel-logits"),
        ("multilabel-probabilities", "multilabel-probabilities"),
    ],
)
def test_scores_of_every_head_are_float32_of_a_known_kind(head: str, outputs: str) -> None:
    spec = spec_of(head=head, classes=2)
    assert OUTPUTS[spec.head] == outputs
    raw = np.array(
        [[0.25], [0.5]] if head in ("logit", "probability") else [[0.75, 0.25], [0.5, 0.5]]
    )
    scores = decode_scores(raw, 2, spec)
    assert scores.dtype == np.float32
    assert scores[:, 1].tolist() == [0.25, 0.5]
