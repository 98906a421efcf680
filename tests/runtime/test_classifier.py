"""ONNX classifiers give the known scores and gradients, whatever the file's conventions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from onnxplain.api import explain_many
from onnxplain.core.protocols import Classifier, Part
from onnxplain.engine.settle import settle_method
from onnxplain.gradient import GradientError, GradientRequest
from onnxplain.methods import MP, MP2
from onnxplain.results import Explanation
from onnxplain.runtime import OnnxClassifier, gradient_building, load_classifier
from tests.conftest import shared
from tests.helpers import models
from tests.helpers.masks import compose_plainly, make_families
from tests.helpers.specs import CONVENTIONS, SIZE, classifier_of, photos, spec_of


def make_weights(convention: dict[str, Any], classes: int = 3) -> Any:
    w = models.weights(SIZE, classes)
    return w[..., :1] if convention.get("colour") == "grey" else w


def convert_to_grey(images: Any) -> Any:
    return (images @ np.array([0.299, 0.587, 0.114]))[..., None]


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_scores_are_those_of_the_closed_form(convention: dict[str, Any]) -> None:
    w, images = make_weights(convention), photos(7)
    classifier = classifier_of(models.additive(w, **convention), spec_of(**convention))
    seen = convert_to_grey(images) if w.shape[-1] == 1 else images
    # 16-bit inputs keep 11 bits; grey values become integers for uint8 models only.
    tolerance = 5e-3 if convention.get("dtype") == "float16" else 2e-5
    expected = models.additive_scores(w, seen)
    np.testing.assert_allclose(classifier.scores(images), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("batch_size", [2, 8])
@pytest.mark.parametrize("family", make_families())
def test_masked_scores_are_those_of_composed_images(family: str, batch_size: int) -> None:
    w, (image, fill) = models.weights(SIZE), photos(2)
    classifier = classifier_of(models.additive(w), spec_of(), batch_size=batch_size)
    masks = make_families()[family]
    scores = classifier.masked_scores([Part(classifier.planes(image, fill), masks, 0, 5)])
    composed = compose_plainly([(image, fill, masks, 0, 5)], {"layout": "nhwc"})
    np.testing.assert_allclose(scores, models.additive_scores(w, composed), rtol=0, atol=2e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_batch_size_does_not_change_scores(batch_size: int) -> None:
    model, images = models.convnet(), photos(7, (16, 16))
    spec = spec_of(size=(16, 16), classes=5)
    expected = classifier_of(model, spec, batch_size=7).scores(images)
    scores = classifier_of(model, spec, batch_size=batch_size).scores(images)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fixed", [1, 3])
def test_a_model_of_one_batch_size_gets_exactly_that(fixed: int) -> None:
    w, images = models.weights(SIZE), photos(7)
    classifier = classifier_of(
        models.additive(w, batch=fixed), spec_of(), batch_size=fixed, fixed=fixed
    )
    np.testing.assert_allclose(
        classifier.scores(images), models.additive_scores(w, images), rtol=0, atol=2e-5
    )


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
def test_images_of_another_size_or_type_are_refused(images: Any) -> None:
    classifier = classifier_of(models.additive(models.weights(SIZE)), spec_of())
    with pytest.raises(ValueError, match="images must"):
        classifier.scores(images)


def test_side_by_side_calls_give_the_same_scores() -> None:
    model, images = models.convnet(), photos(24, (16, 16))
    classifier = classifier_of(model, spec_of(size=(16, 16), classes=5), batch_size=3, workers=4)
    expected = classifier.scores(images)
    slices = [slice(start, start + 6) for _ in range(8) for start in range(0, 24, 6)]
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda part: classifier.scores(images[part]), slices)
        for part, scores in zip(slices, answers, strict=True):
            np.testing.assert_array_equal(scores, expected[part])


def test_provenance_says_what_ran() -> None:
    classifier: Classifier = classifier_of(models.additive(models.weights(SIZE)), spec_of())
    provenance = classifier.provenance
    assert provenance["provider"] == "CPUExecutionProvider"
    assert provenance["device"] == "cpu"
    assert provenance["model"] == "tiny.onnx"
    assert provenance["tf32"] is False
    assert provenance["composed_by"] == "host"
    assert classifier.size == SIZE
    assert classifier.class_names == ("class 0", "class 1", "class 2")


def test_measuring_gives_a_rate_for_every_batch_size() -> None:
    classifier = classifier_of(models.convnet(), spec_of(size=(16, 16), classes=5), workers=2)
    rates = classifier.measure((1, 4), seconds=0.02)
    assert [rate.batch_size for rate in rates] == [1, 4]
    assert all(rate.per_second > 0 for rate in rates)


def test_a_quantised_classifier_has_no_gradients_and_says_why() -> None:
    classifier = load_classifier(shared("models/mobilenet_v1_0.25_128_quant.onnx"), batch_size=1)
    with pytest.raises(GradientError, match=r"holds uint8, which has no gradient"):
        classifier.gradients()


def load(folder: Path, model: ModelProto) -> OnnxClassifier:
    path = models.save(model, folder / "tiny.onnx")
    return load_classifier(path, flags={"range": (0, 1)}, batch_size=2)


@pytest.fixture
def without_gradients(tmp_path: Path) -> OnnxClassifier:
    return load(tmp_path, models.widen(models.convnet((16, 16))))


@pytest.mark.parametrize(
    ("method", "setting"),
    [(MP2(grid=2), ("gain", "difference")), (MP(grid=2, n_steps=2), ("estimator", "spsa"))],
)
def test_methods_do_without_gradients_that_only_building_refuses(
    without_gradients: OnnxClassifier, method: MP | MP2, setting: tuple[str, str]
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    for explanation in explain_many(without_gradients, [photo, photo], method):
        assert isinstance(explanation, Explanation)
        assert explanation.parameters[setting[0]] == setting[1]


def test_gradients_that_a_method_needs_are_refused_with_the_node_and_a_way_out(
    without_gradients: OnnxClassifier,
) -> None:
    with pytest.raises(GradientError, match=r"tiny.onnx: node .widen. .*mp with estimator=spsa"):
        settle_method(MP(estimator="gradient"), without_gradients)


@pytest.mark.parametrize("has_gradients", [True, False])
def test_the_gradient_graph_is_built_once(
    tmp_path: Path,
    without_gradients: OnnxClassifier,
    monkeypatch: pytest.MonkeyPatch,
    has_gradients: bool,
) -> None:
    built, build = [], gradient_building.build_gradient

    def build_counting(
        model: ModelProto, request: GradientRequest, *rest: object, **options: object
    ) -> object:
        built.append(request.kind)
        return build(model, request, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(gradient_building, "build_gradient", build_counting)
    classifier = load(tmp_path, models.convnet((16, 16))) if has_gradients else without_gradients
    assert built == []
    for _ in range(3):
        gradients = settle_method(MP2(), classifier)[1]
        assert (gradients is not None) == has_gradients
        if gradients is not None:
            images = np.zeros((1, 16, 16, 3), np.float32)
            gradients.score_grads(images, np.array([0]), "log-odds")
    assert built == ["log-odds"]
