"""Models that are pickled are opened again by whoever unpickles them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnxplain
from onnxplain.core.errors import ModelError
from onnxplain.loading import load_shifted
from tests.helpers import models

SIZE = (16, 16)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "net.onnx"
    onnx.save(models.convnet(SIZE), path)
    return path


def load(path: Path | bytes) -> onnxplain.runtime.OnnxClassifier:
    return onnxplain.load(path, range=(-1, 1), batch_size=3)


def test_classifier_scores_the_same_after_pickling(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(path.parent)
    first = load(Path(path.name))
    content = pickle.dumps(first)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # another process may have another folder
    again = pickle.loads(content)
    images = np.random.default_rng(0).random((5, *SIZE, 3), np.float32)
    np.testing.assert_array_equal(again.scores(images), first.scores(images))
    assert again.provenance == first.provenance
    assert again.batch_size == 3


def test_classifier_from_bytes_travels_with_its_content(path: Path) -> None:
    first = load(path.read_bytes())
    images = np.random.default_rng(0).random((2, *SIZE, 3), np.float32)
    again = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(again.scores(images), first.scores(images))


def test_another_file_under_the_path_is_an_error(path: Path) -> None:
    content = pickle.dumps(load(path))
    onnx.save(models.convnet(SIZE, seed=5), path)
    with pytest.raises(ModelError, match="the file has changed since the work began"):
        pickle.loads(content)


def test_missing_file_is_an_error_that_says_what_to_do(path: Path) -> None:
    content = pickle.dumps(load(path))
    path.unlink()
    with pytest.raises(ModelError, match="under the same path"):
        pickle.loads(content)


def test_classifier_made_in_memory_says_so(path: Path) -> None:
    shifted = load_shifted(path, range=(-1, 1))
    with pytest.raises(ModelError, match="made in memory"):
        pickle.dumps(shifted)


def test_inpainter_and_distance_travel(tmp_path: Path, path: Path) -> None:
    onnx.save(models.inpainter("mean"), tmp_path / "inpainter.onnx")
    first = onnxplain.load_inpainter(tmp_path / "inpainter.onnx")
    again = pickle.loads(pickle.dumps(first))
    images = np.random.default_rng(0).random((2, *SIZE, 3), np.float32)
    masks = np.zeros((2, *SIZE), np.float32)
    masks[:, 4:9, 3:8] = 1
    np.testing.assert_array_equal(again.inpaint(images, masks), first.inpaint(images, masks))
    assert again.provenance == first.provenance


def test_batches_can_be_made_smaller_but_not_larger(path: Path) -> None:
    classifier = load(path)
    classifier.lower_batch_size(2)
    assert classifier.batch_size == 2
    classifier.lower_batch_size(8)
    assert classifier.batch_size == 2
    assert pickle.loads(pickle.dumps(classifier)).batch_size == 2
