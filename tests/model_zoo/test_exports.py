"""Tests of the export scripts, run as a user runs them, and of their files in onnxplain.

Each script compares the scores of its ONNX file with its framework's on real photos and fails
if they differ.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import skimage.data

from onnxplain.loading import find_model, load
from onnxplain.subjects import fit_to_classifier
from tests.helpers.lite_photos import prepare_photos

SCRIPTS = Path(__file__).resolve().parents[2] / "model_zoo"
FACE = slice(50, 190), slice(160, 300)  # rows and columns of the photo "astronaut"

pytestmark = [pytest.mark.framework, pytest.mark.slow]


def run_script(script: str, folder: Path, *packages: str) -> str:
    """Return the output of a script; skip the test if a package is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    process = subprocess.run(
        [sys.executable, SCRIPTS / script, folder],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def classify(path: Path, photo: np.ndarray) -> tuple[str, float]:
    """Return the top class and its score, by the file and the spec beside it alone."""
    classifier = load(path, device="cpu", batch_size=1)
    _, image = fit_to_classifier(classifier, photo.astype(np.float32) / 255)
    (scores,) = classifier.scores(image[None])
    return classifier.class_names[scores.argmax()], float(scores.max())


def test_both_torch_exporters_and_the_zoo_give_the_same_logits(tmp_path: Path) -> None:
    """The script itself checks that each is within 1e-4 of PyTorch."""
    output = run_script(
        "export_torch.py", tmp_path, "torch", "onnxscript", "efficientnet_lite_pytorch"
    )
    paths = sorted(tmp_path.glob("*.onnx"))
    names = [f"efficientnet-lite0-{exporter}.onnx" for exporter in ("dynamo", "torchscript")]
    assert [path.name for path in paths] == names
    assert all(
        f"{name}: largest difference" in output for name in ["efficientnet-lite0.onnx", *names]
    )
    x = prepare_photos(224)
    logits = []
    for path in [find_model("efficientnet-lite0"), *paths]:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        logits.append(session.run(None, {"image": x})[0])
        assert classify(path, skimage.data.coffee())[0] == "espresso"
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-4)
    np.testing.assert_allclose(logits[2], logits[0], atol=1e-4)


def test_keras_models_give_their_frameworks_scores_and_recognise_a_smile(tmp_path: Path) -> None:
    output = run_script("export_keras.py", tmp_path, "tensorflow", "tf2onnx")
    assert output.count("largest difference") == 2
    name, score = classify(tmp_path / "emotions-keras.onnx", skimage.data.astronaut()[FACE])
    assert name == "happy"
    assert score > 0.9
    assert len(load(tmp_path / "dogs-keras.onnx", device="cpu").class_names) == 19


def test_tflite_model_gives_tflites_scores_and_recognises_a_smile(tmp_path: Path) -> None:
    output = run_script("export_tflite.py", tmp_path, "tensorflow", "tf2onnx")
    assert "emotions-tflite.onnx: largest difference" in output
    name, score = classify(tmp_path / "emotions-tflite.onnx", skimage.data.astronaut()[FACE])
    assert name == "happy"
    assert score > 0.9
