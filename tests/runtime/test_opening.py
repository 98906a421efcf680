"""Files of every kind become classifiers; batch sizes are measured and remembered."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain.cache import remember
from onnxplain.core.errors import DeviceError, ModelError
from onnxplain.core.protocols import Part
from onnxplain.runtime import OnnxClassifier, load_classifier, tuning
from tests.helpers import models
from tests.helpers.masks import make_families
from tests.helpers.specs import SIZE, photos

UNIT = {"preprocessing": "unit"}


def load(model: Any, folder: Path, **options: Any) -> OnnxClassifier:
    path = models.save(model, folder / "net.onnx")
    return load_classifier(path, **{"device": "cpu", "flags": UNIT, **options})


def test_a_batch_size_that_the_model_does_not_take_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"batch size 8 was asked for, but .* runs with 1 only"):
        load(models.lying_batch(), tmp_path, batch_size=8)
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        load(models.convnet(), tmp_path, batch_size=0)


def test_external_data_are_found(tmp_path: Path) -> None:
    images, path = photos(3, (16, 16)), tmp_path / "net.onnx"
    inside = load(models.convnet(), tmp_path).scores(images)
    models.save(models.convnet(), path, external=True, threshold=64)
    outside = load_classifier(path, device="cpu", flags=UNIT).scores(images)
    np.testing.assert_array_equal(outside, inside)


def test_the_measured_batch_size_is_remembered(tmp_path: Path, cache: Path) -> None:
    first = load(models.convnet(), tmp_path)
    assert first.batch_size in tuning.CPU_SIZES
    (remembered,) = (cache / "batch-size").iterdir()
    facts = json.loads(remembered.read_text())
    assert facts["batch_size"] == first.batch_size
    remember("batch-size", facts["key"], {"batch_size": 5})
    assert load(models.convnet(), tmp_path).batch_size == 5
    assert load(models.convnet(), tmp_path, batch_size=7).batch_size == 7
    assert load(models.convnet(seed=1), tmp_path).batch_size in tuning.CPU_SIZES


def test_size_measured_on_a_busy_machine_is_not_remembered(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = [tuning.Choice(8, steady=False), tuning.Choice(4, steady=True)]
    monkeypatch.setattr(tuning, "measure_batch_size", lambda *_, **__: choices.pop(0))
    assert load(models.convnet(), tmp_path).batch_size == 8
    assert not (cache / "batch-size").exists()
    assert load(models.convnet(), tmp_path).batch_size == 4
    assert load(models.convnet(), tmp_path).batch_size == 4


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"batch_size": 3}'])
def test_a_damaged_memory_is_measured_again(tmp_path: Path, cache: Path, content: bytes) -> None:
    load(models.convnet(), tmp_path)
    (remembered,) = (cache / "batch-size").iterdir()
    remembered.write_bytes(content)
    assert load(models.convnet(), tmp_path).batch_size in tuning.CPU_SIZES


def test_a_cache_folder_that_cannot_be_made_is_no_error(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file is in the way")
    assert load(models.convnet(), tmp_path).batch_size in tuning.CPU_SIZES


def test_graph_composition_can_be_asked_for_on_cpu(tmp_path: Path) -> None:
    w, (image, fill) = models.weights(SIZE), photos(2)
    scores = []
    for compose in ("host", "graph"):
        classifier = load(models.additive(w), tmp_path, compose=compose)
        assert classifier.provenance["composed_by"] == compose
        planes = classifier.planes(image, fill)
        scores.append(classifier.masked_scores([Part(planes, make_families()["grid"], 0, 5)]))
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "error", "says"),
    [
        ("gpu", ValueError, "device is auto, cpu, cuda or cuda:N, got 'gpu'"),
        ("cuda:", ValueError, "got 'cuda:'"),
        ("cuda:999", DeviceError, "--device cuda:999 is not available"),
    ],
)
def test_devices_that_are_not_available_are_errors(
    tmp_path: Path, device: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        load(models.convnet(), tmp_path, device=device)


def test_there_are_no_more_workers_than_cores(tmp_path: Path) -> None:
    classifier = load(models.convnet(), tmp_path)
    assert 1 <= classifier.workers <= (os.cpu_count() or 1)


@pytest.mark.parametrize("wrong", [None, 0, -1, "8", [8], 10**9, True, {}])
def test_cache_with_wrong_content_is_ignored_and_written_anew(
    tmp_path: Path, cache: Path, wrong: Any
) -> None:
    first = load(models.convnet(), tmp_path)
    paths = list(cache.rglob("*.json"))
    assert {path.parent.name for path in paths} >= {"batch"}
    contents = [json.loads(path.read_text()) for path in paths]
    for path, content in zip(paths, contents, strict=True):
        facts = content.keys() - {"key", "sha256"}
        remember(path.parent.name, content["key"], dict.fromkeys(facts, wrong))
    again = load(models.convnet(), tmp_path)
    assert again.provenance["batch"] == first.provenance["batch"]
    (path,) = (cache / "batch").iterdir()
    assert json.loads(path.read_text()) in contents


def test_tf32_on_the_cpu_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(models.convnet(), tmp_path, batch_size=1, tf32=True).provenance["tf32"] is False
    assert caplog.messages == ["net.onnx: tf32 changes nothing, as it runs on the CPU"]
    caplog.clear()
    load(models.convnet(), tmp_path, batch_size=1)
    assert caplog.messages == []
