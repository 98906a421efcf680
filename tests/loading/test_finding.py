"""Models are found by path, content or name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxplain
from onnxplain.core.errors import ModelError
from onnxplain.core.scores import to_probabilities
from onnxplain.loading import find_model, score_photo
from tests.helpers import models
from tests.loading.conftest import IMAGE


def test_existing_file_is_its_own_model(path: Path):
    assert find_model(str(path)) == path


def test_file_that_does_not_exist_is_an_error():
    with pytest.raises(ModelError, match=r"nowhere/model\.onnx: no such file"):
        onnxplain.load("nowhere/model.onnx")


def test_empty_text_is_no_model():
    with pytest.raises(ModelError, match="no model is given"):
        onnxplain.load("")


def test_unknown_zoo_model_gets_a_suggestion():
    with pytest.raises(ModelError, match=r"did you mean 'efficientnet-lite\d'"):
        onnxplain.load("efficientnet-lite")


def test_name_that_is_too_long_for_a_path_is_an_error():
    with pytest.raises(ModelError, match="cannot be opened"):
        find_model("n" * 5000)


def test_photo_is_scored_at_the_size_of_the_classifier(path: Path):
    toml = path.with_suffix(".toml")
    toml.write_text("range = [0, 1]\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n")
    photo = np.pad(IMAGE, ((0, 0), (10, 10), (0, 0)))  # whose centre is the image
    scores = score_photo(path, photo)
    classifier = onnxplain.load(path, batch_size=1, device="cpu")
    raw = classifier.scores(IMAGE[None])
    expected = to_probabilities(raw, classifier.outputs)[0]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize("given", [b"", b"no model", b"PK\3\4"])
def test_bytes_that_are_no_model_are_refused(given: bytes):
    with pytest.raises(ModelError, match=r"model\.onnx: .*(empty|not an? ONNX|not ONNX)"):
        onnxplain.load(given)


@pytest.mark.parametrize("given", [3, None, models, [b""]])
def test_what_is_no_model_is_refused(given: Any):
    with pytest.raises(TypeError, match=r"a model is a path, .*from_torch"):
        onnxplain.load(given)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("model.onnx", "model_quantized.onnx"), "model.onnx"),
        (("onnx/model.onnx", "onnx/model_fp16.onnx"), "onnx/model.onnx"),
        (("onnx/decoder.onnx",), "onnx/decoder.onnx"),
        (("resnet.onnx", "readme.md"), "resnet.onnx"),
    ],
)
def test_model_in_a_folder_is_found(tmp_path: Path, names: tuple[str, ...], expected: str):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_model(tmp_path) == tmp_path / expected


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("b.onnx", "a.onnx"), "several ONNX files; give the path of one: a.onnx, b.onnx"),
        (("config.json",), "holds no ONNX file; give the path"),
        (
            ("model.safetensors",),
            "no ONNX file but model.safetensors: export that model to ONNX, or give",
        ),
    ],
)
def test_folder_without_one_model_is_refused(tmp_path: Path, names: tuple[str, ...], text: str):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=text):
        find_model(tmp_path)
