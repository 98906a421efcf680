"""ONNX classifiers give the known scores, whatever the file's conventions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from onnxplain.core.errors import ModelError
from onnxplain.core.protocols import Classifier, Part
from tests.helpers import models
from tests.helpers.masks import compose_plainly, make_families
from tests.helpers.specs import CONVENTIONS, SIZE, classifier_of, photos, spec_of


def weights_for(convention: dict[str, Any], classes: int = 3) -> Any:
    w = models.weights(SIZE, classes)
    return w[..., :1] if convention.get("colour") == "grey" else w


def grey(images: Any) -> Any:
    return (images @ np.array([0.299, 0.587, 0.114]))[..., None]


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_scores_are_those_of_the_closed_form(convention: dict[str, Any]) -> None:
    w, images = weights_for(convention), photos(7)
    classifier = classifier_of(models.additive(w, **convention), spec_of(**convention))
    seen = grey(images) if w.shape[-1] == 1 else images
    # 16-bit inputs keep 11 bits; grey values become integers for uint8 models only.
    tolerance = 5e-3 if convention.get("dtype") == "float16" else 2e-5
    expected = models.additive_scores(w, seen)
    np.testing.assert_allclose(classifier.scores(images), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("family", make_families())
def test_masked_scores_are_those_of_composed_images(family: str) -> None:
    w, (image, fill) = models.weights(SIZE), photos(2)
    classifier = classifier_of(models.additive(w), spec_of())
    masks = make_families()[family]
    got = classifier.masked_scores([Part(classifier.planes(image, fill), masks, 0, 5)])
    composed = compose_plainly([(image, fill, masks, 0, 5)], {"layout": "nhwc"})
    np.testing.assert_allclose(got, models.additive_scores(w, composed), rtol=0, atol=2e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_batch_size_does_not_change_scores(batch_size: int) -> None:
    made, images = models.convnet(), photos(7, (16, 16))
    spec = spec_of(size=(16, 16), classes=5)
    expected = classifier_of(made, spec, batch_size=7).scores(images)
    got = classifier_of(made, spec, batch_size=batch_size).scores(images)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fixed", [1, 3])
def test_model_of_one_batch_size_gets_exactly_that(fixed: int) -> None:
    w, images = models.weights(SIZE), photos(7)
    classifier = classifier_of(
        models.additive(w, batch=fixed), spec_of(), batch_size=fixed, fixed=fixed
    )
    np.testing.assert_allclose(
        classifier.scores(images), models.additive_scores(w, images), rtol=0, atol=2e-5
    )


@pytest.mark.parametrize("head", ["logits", "probabilities"])
def test_axes_of_size_one_are_dropped(head: str) -> None:
    w, images = models.weights(SIZE), photos(3)
    classifier = classifier_of(models.additive(w, head=head, output_rank=4), spec_of(head=head))
    assert classifier.outputs == head
    np.testing.assert_allclose(
        classifier.scores(images), models.additive_scores(w, images, head), rtol=0, atol=2e-5
    )


def test_sigmoid_becomes_two_probabilities() -> None:
    w, images = models.weights(SIZE, 1), photos(3)
    classifier = classifier_of(
        models.additive(w, head="sigmoid"), spec_of(head="sigmoid", classes=2)
    )
    p = models.additive_scores(w, images, "sigmoid")
    assert classifier.outputs == "probabilities"
    np.testing.assert_allclose(classifier.scores(images), np.hstack([1 - p, p]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("output_rank", [1, 2])
def test_a_single_logit_becomes_two(output_rank: int) -> None:
    w, images = models.weights(SIZE, 1), photos(3)
    made = models.additive(w, output_rank=output_rank)
    classifier = classifier_of(made, spec_of(head="logit", classes=2))
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
    "images",
    [
        np.zeros((2, 9, 9, 3), np.float32),
        np.zeros((2, *SIZE, 1), np.float32),
        np.zeros((*SIZE, 3), np.float32),
        np.zeros((2, *SIZE, 3), np.uint8),
        np.zeros((0, *SIZE, 3), np.float32),
    ],
)
def test_images_of_another_kind_are_refused(images: Any) -> None:
    classifier = classifier_of(models.additive(models.weights(SIZE)), spec_of())
    with pytest.raises(ValueError, match="images must"):
        classifier.scores(images)


def test_side_by_side_calls_give_the_same_scores() -> None:
    made, images = models.convnet(), photos(24, (16, 16))
    classifier = classifier_of(made, spec_of(size=(16, 16), classes=5), batch_size=3, workers=4)
    expected = classifier.scores(images)
    with ThreadPoolExecutor(4) as pool:
        cuts = [slice(start, start + 6) for _ in range(8) for start in range(0, 24, 6)]
        for cut, got in zip(
            cuts, pool.map(lambda c: classifier.scores(images[c]), cuts), strict=True
        ):
            np.testing.assert_array_equal(got, expected[cut])


def test_it_is_a_classifier_that_says_what_ran() -> None:
    classifier: Classifier = classifier_of(models.additive(models.weights(SIZE)), spec_of())
    facts = classifier.provenance
    assert facts["provider"] == "CPUExecutionProvider"
    assert facts["device"] == "cpu"
    assert facts["model"] == "tiny.onnx"
    assert facts["tf32"] is False
    assert classifier.size == SIZE
    assert classifier.class_names == ("class 0", "class 1", "class 2")


def test_measure_gives_a_rate_for_every_batch_size() -> None:
    classifier = classifier_of(models.convnet(), spec_of(size=(16, 16), classes=5), workers=2)
    rates = classifier.measure((1, 4), seconds=0.02)
    assert [rate.batch_size for rate in rates] == [1, 4]
    assert all(rate.per_second > 0 for rate in rates)
