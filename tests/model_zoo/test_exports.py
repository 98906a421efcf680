"""The export scripts, run as a user runs them, and what onnxplain makes of their files.

Each script compares the scores of what it wrote with its framework's on real photos and
fails if they differ.
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
FACE = slice(50, 190), slice(160, 300)  # rows and columns, in the photo "astronaut"

pytestmark = [pytest.mark.framework, pytest.mark.slow]


def run(script: str, folder: Path, *packages: str) -> str:
    """What a script prints; skips the test where a framework is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    done = subprocess.run(
        [sys.executable, SCRIPTS / script, folder],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def best(path: Path, photo: np.ndarray) -> tuple[str, float]:
    """The top class and its score, all read from the file and the spec beside it."""
    classifier = load(path, device="cpu", batch_size=1)
    _, image = fit_to_classifier(classifier, photo.astype(np.float32) / 255)
    (scores,) = classifier.scores(image[None])
    return classifier.class_names[scores.argmax()], float(scores.max())


def test_torch_by_both_exporters(tmp_path: Path) -> None:
    """Both equal PyTorch within 1e-4, and so does the graph that the zoo writes."""
    told = run("export_torch.py", tmp_path, "torch", "onnxscript", "efficientnet_lite_pytorch")
    paths = sorted(tmp_path.glob("*.onnx"))
    names = [f"efficientnet-lite0-{by}.onnx" for by in ("dynamo", "torchscript")]
    assert [path.name for path in paths] == names
    assert all(
        f"{name}: largest difference" in told for name in ["efficientnet-lite0.onnx", *names]
    )
    x = prepare_photos(224)
    logits = []
    for path in [find_model("efficientnet-lite0"), *paths]:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        logits.append(session.run(None, {"image": x})[0])
        assert best(path, skimage.data.coffee())[0] == "espresso"
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-4)
    np.testing.assert_allclose(logits[2], logits[0], atol=1e-4)


def test_keras_by_both_roads(tmp_path: Path) -> None:
    told = run("export_keras.py", tmp_path, "tensorflow", "tf2onnx")
    assert told.count("largest difference") == 2
    name, score = best(tmp_path / "emotions-keras.onnx", skimage.data.astronaut()[FACE])
    assert name == "happy"
    assert score > 0.9
    assert len(load(tmp_path / "dogs-keras.onnx", device="cpu").class_names) == 19


def test_tflite(tmp_path: Path) -> None:
    told = run("export_tflite.py", tmp_path, "tensorflow", "tf2onnx")
    assert "emotions-tflite.onnx: largest difference" in told
    name, score = best(tmp_path / "emotions-tflite.onnx", skimage.data.astronaut()[FACE])
    assert name == "happy"
    assert score > 0.9
