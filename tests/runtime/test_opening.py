"""Files of every kind become classifiers; batches are proved, sizes measured and remembered."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxplain.core.errors import DeviceError, ModelError
from onnxplain.core.protocols import Part
from onnxplain.runtime import OnnxClassifier, load_classifier, tuning
from tests.conftest import shared
from tests.helpers import models
from tests.helpers.masks import make_families
from tests.helpers.specs import SIZE, photos

UNIT = {"preprocessing": "unit"}


def loaded(made: Any, tmp_path: Path, external: bool = False, **options: Any) -> OnnxClassifier:
    path = tmp_path / "net.onnx"
    if external:  # shapes stay inside, as exporters leave them: ONNX Runtime wants them there
        onnx.save_model(
            made,
            path,
            save_as_external_data=True,
            location="net.data",
            size_threshold=64,
            convert_attribute=False,
        )
        assert (tmp_path / "net.data").stat().st_size > 0
    else:
        models.save(made, path)
    return load_classifier(path, **{"device": "cpu", "flags": UNIT, **options})


def test_declared_batch_that_holds_is_used(tmp_path: Path) -> None:
    w, images = models.weights(SIZE), photos(9)
    classifier = loaded(models.additive(w), tmp_path)
    assert classifier.batch.fixed is None
    assert "as declared" in classifier.batch.text
    np.testing.assert_allclose(
        classifier.scores(images), models.additive_scores(w, images), rtol=0, atol=2e-5
    )


def test_declared_batch_that_lies_is_found_out(tmp_path: Path) -> None:
    images = photos(4, (16, 16))
    classifier = loaded(models.lying_batch(), tmp_path)
    assert classifier.batch_size == 1
    assert "declared dynamic, but" in classifier.batch.text
    truth = loaded(models.convnet(), tmp_path)
    np.testing.assert_allclose(
        classifier.scores(images), truth.scores(images), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("external", [False, True])
def test_fixed_batch_is_made_dynamic_and_proved(tmp_path: Path, external: bool) -> None:
    images = photos(7, (16, 16))
    fixed = models.convnet(batch=1, one_row=True)
    classifier = loaded(fixed, tmp_path, external, batch_size=4)
    assert classifier.batch.fixed is None
    assert "made dynamic" in classifier.batch.text
    truth = loaded(models.convnet(), tmp_path)
    np.testing.assert_allclose(
        classifier.scores(images), truth.scores(images), rtol=1e-5, atol=1e-6
    )


def test_agreement_of_answers_that_never_change_proves_nothing(tmp_path: Path) -> None:
    classifier = loaded(models.saturated(), tmp_path, flags={**UNIT, "head": "probabilities"})
    assert classifier.batch.fixed == 1
    assert "hardly differ" in classifier.batch.text


def test_other_fixed_batches_are_padded(tmp_path: Path) -> None:
    w, images = models.weights(SIZE), photos(7)
    classifier = loaded(models.additive(w, batch=3), tmp_path)
    assert classifier.batch_size == 3
    np.testing.assert_allclose(
        classifier.scores(images), models.additive_scores(w, images), rtol=0, atol=2e-5
    )


def test_batch_size_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="batch size 8 was asked for, but it runs with 1 only"):
        loaded(models.lying_batch(), tmp_path, batch_size=8)
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        loaded(models.convnet(), tmp_path, batch_size=0)


def test_external_data_are_found(tmp_path: Path) -> None:
    images = photos(3, (16, 16))
    inside = loaded(models.convnet(), tmp_path).scores(images)
    outside = loaded(models.convnet(), tmp_path, external=True).scores(images)
    np.testing.assert_array_equal(outside, inside)


def test_measured_batch_size_is_remembered(tmp_path: Path, cache: Path) -> None:
    first = loaded(models.convnet(), tmp_path)
    assert first.batch_size in tuning.CPU_SIZES
    (kept,) = (cache / "batch-size").iterdir()
    facts = json.loads(kept.read_text())
    assert facts["batch_size"] == first.batch_size
    kept.write_text(json.dumps({**facts, "batch_size": 5}))
    assert loaded(models.convnet(), tmp_path).batch_size == 5
    assert loaded(models.convnet(), tmp_path, batch_size=7).batch_size == 7
    assert loaded(models.convnet(seed=1), tmp_path).batch_size in tuning.CPU_SIZES


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"batch_size": 3}'])
def test_damaged_memory_is_measured_again(tmp_path: Path, cache: Path, content: bytes) -> None:
    loaded(models.convnet(), tmp_path)
    (kept,) = (cache / "batch-size").iterdir()
    kept.write_bytes(content)
    assert loaded(models.convnet(), tmp_path).batch_size in tuning.CPU_SIZES


def test_cache_folder_that_cannot_be_made_is_no_error(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file is in the way")
    assert loaded(models.convnet(), tmp_path).batch_size in tuning.CPU_SIZES


def test_graph_composition_can_be_asked_for_on_cpu(tmp_path: Path) -> None:
    w, (image, fill) = models.weights(SIZE), photos(2)
    scores = []
    for compose in ("host", "graph"):
        classifier = loaded(models.additive(w), tmp_path, compose=compose)
        assert classifier.provenance["composed_by"] == compose
        planes = classifier.planes(image, fill)
        scores.append(classifier.masked_scores([Part(planes, make_families()["grid"], 0, 5)]))
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "error", "says"),
    [
        ("gpu", ValueError, "device is auto, cpu, cuda, cuda:N or tensorrt, got 'gpu'"),
        ("cuda:", ValueError, "got 'cuda:'"),
        ("cuda:999", DeviceError, "--device cuda:999 is not available"),
    ],
)
def test_devices_that_cannot_be_had(
    tmp_path: Path, device: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        loaded(models.convnet(), tmp_path, device=device)


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


def test_as_many_workers_as_cores_that_may_be_used(tmp_path: Path) -> None:
    classifier = loaded(models.convnet(), tmp_path)
    assert 1 <= classifier.workers <= (os.cpu_count() or 1)
