"""Models are loaded from memory and from folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import onnxplain
from onnxplain.core.errors import ModelError
from tests.helpers import models
from tests.loading.conftest import DESCRIPTION, IMAGE, SIZE


def test_model_in_memory_is_the_one_in_the_file(tmp_path: Path):
    proto = models.convnet(SIZE)
    path = models.save(proto, tmp_path / "net.onnx")
    expected = onnxplain.load(path, batch_size=4, **DESCRIPTION)
    for given in (path.read_bytes(), onnx.load(path), proto):
        classifier = onnxplain.load(given, batch_size=4, **DESCRIPTION)
        np.testing.assert_array_equal(classifier.scores(IMAGE[None]), expected.scores(IMAGE[None]))
        assert classifier.gradients()
    assert repr(classifier) == "OnnxClassifier('model.onnx', 48 x 48, 5 classes)"
    assert onnxplain.load_features(path.read_bytes(), **DESCRIPTION)(IMAGE[None]).shape == (1, 8)
    features = onnxplain.gradient_graph(proto, range=(0, 1), mean=0.5, std=0.25)
    assert features == onnxplain.gradient_graph(path, range=(0, 1), mean=0.5, std=0.25)


def test_nothing_lies_beside_a_model_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.toml").write_text('class_names = ["a", "b", "c", "d", "e"]')
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    names = onnxplain.load(models.convnet(SIZE), batch_size=4, **DESCRIPTION).class_names
    assert names[0] == "class 0"
    onnx.save(
        models.convnet(SIZE), "net.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    content = (tmp_path / "net.onnx").read_bytes()
    with pytest.raises(
        ModelError, match=r"external data 'w' is missing.*give the model by its path"
    ):
        onnxplain.load(content, **DESCRIPTION)


def test_folder_of_hugging_face_is_loaded_with_its_configuration(tmp_path: Path):
    (tmp_path / "onnx").mkdir()
    models.save(models.convnet(SIZE), tmp_path / "onnx" / "model.onnx")
    (tmp_path / "config.json").write_text(
        '{"id2label": {"0": "a", "1": "b", "2": "c", "3": "d", "4": "e"}}'
    )
    (tmp_path / "preprocessor_config.json").write_text(
        '{"do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}'
    )
    classifier = onnxplain.load(tmp_path, device="cpu", batch_size=4)
    assert classifier.class_names == tuple("abcde")
    assert classifier.spec.mean == (0.5, 0.5, 0.5)
