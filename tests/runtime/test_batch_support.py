"""Which batches a model takes is tested on the model itself, and remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain.graph.load import read_model
from onnxplain.runtime import OnnxClassifier, batch_support, load_classifier
from onnxplain.runtime.batch_support import BatchSupport, find_batch_support
from tests.conftest import shared
from tests.helpers import models
from tests.helpers.specs import SIZE, photos, spec_of

UNIT = {"preprocessing": "unit"}


def load(model: Any, folder: Path, external: bool = False, **options: Any) -> OnnxClassifier:
    # Shapes stay inside: ONNX Runtime wants them there.
    path = models.save(model, folder / "net.onnx", external=external, threshold=64)
    return load_classifier(path, **{"device": "cpu", "flags": UNIT, **options})


def test_a_declared_batch_that_works_is_used(tmp_path: Path) -> None:
    w, images = models.weights(SIZE), photos(9)
    classifier = load(models.additive(w), tmp_path)
    assert classifier.batch.fixed is None
    assert "as declared" in classifier.batch.text
    np.testing.assert_allclose(
        classifier.scores(images), models.additive_scores(w, images), rtol=0, atol=2e-5
    )


def test_a_declared_batch_that_lies_is_found_out(tmp_path: Path) -> None:
    images = photos(4, (16, 16))
    classifier = load(models.lying_batch(), tmp_path)
    assert classifier.batch_size == 1
    assert "declared dynamic, but" in classifier.batch.text
    honest = load(models.convnet(), tmp_path)
    np.testing.assert_allclose(
        classifier.scores(images), honest.scores(images), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("external", [False, True])
def test_a_fixed_batch_is_made_dynamic_and_tested(tmp_path: Path, external: bool) -> None:
    images = photos(7, (16, 16))
    fixed = models.convnet(batch=1, one_row=True)
    classifier = load(fixed, tmp_path, external, batch_size=4)
    assert classifier.batch.fixed is None
    assert "made dynamic" in classifier.batch.text
    dynamic = load(models.convnet(), tmp_path)
    np.testing.assert_allclose(
        classifier.scores(images), dynamic.scores(images), rtol=1e-5, atol=1e-6
    )


def test_agreement_of_answers_that_never_change_proves_nothing(tmp_path: Path) -> None:
    classifier = load(models.saturated(), tmp_path, flags={**UNIT, "head": "probabilities"})
    assert classifier.batch.fixed == 1
    assert "hardly differ" in classifier.batch.text


def test_other_fixed_batches_are_padded(tmp_path: Path) -> None:
    w, images = models.weights(SIZE), photos(7)
    classifier = load(models.additive(w, batch=3), tmp_path)
    assert classifier.batch_size == 3
    np.testing.assert_allclose(
        classifier.scores(images), models.additive_scores(w, images), rtol=0, atol=2e-5
    )


def test_the_answer_is_remembered_in_the_cache_folder(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = read_model(models.save(models.convnet(batch=1, one_row=True), tmp_path / "net.onnx"))
    spec = spec_of(size=(16, 16), classes=5)
    support = find_batch_support(model, spec)
    assert support == BatchSupport(None, support.text, rewritten=True)
    assert len(list((cache / "batch").iterdir())) == 1
    monkeypatch.setattr(batch_support, "open_session", None)  # must not be called
    assert find_batch_support(model, spec) == support


REAL: list[tuple[str, dict[str, Any]]] = [
    ("mobilenet_v1_0.25_128_quant.onnx", {}),
    ("mobilenet_v2_1.0_224_quant.onnx", {}),
    (
        "squeezenet-places365.onnx",
        {"mean": (104.05, 112.51, 116.68), "std": 255, "range": (0, 255)},
    ),
    ("fer-keras-minixception.onnx", {"preprocessing": "keras-tf"}),
    ("fer_quant.onnx", {"preprocessing": "keras-tf"}),
]


@pytest.mark.parametrize(("name", "flags"), REAL, ids=[name for name, _ in REAL])
def test_real_models_score_a_batch_as_they_score_single_images(
    name: str, flags: dict[str, Any]
) -> None:
    classifier = load_classifier(shared(f"models/{name}"), device="cpu", flags=flags)
    images = photos(6, classifier.size)
    images[::2] = images[::2, :1]  # stripes, so that the answers differ
    whole = classifier.scores(images)
    single = np.concatenate([classifier.scores(image[None]) for image in images])
    np.testing.assert_allclose(whole, single, rtol=1e-4, atol=1e-5)
    assert whole.shape == (6, len(classifier.class_names))
