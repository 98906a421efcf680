"""OpenCV that cannot be loaded is one message, which says what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import onnxplain


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("libGL.so.1: cannot open shared object file", "apt-get install libgl1"),
        ("libgthread-2.0.so.0: cannot open shared object file", "apt-get install libglib2.0-0"),
        ("No module named 'cv2'", "pip install opencv-python-headless"),
    ],
)
def test_missing_library_is_named_with_the_package_that_helps(
    tmp_path: Path, text: str, package: str
):
    (tmp_path / "cv2.py").write_text(f"raise ImportError({text!r})")
    place = os.pathsep.join((str(tmp_path), str(Path(onnxplain.__file__).parents[1])))
    process = subprocess.run(
        [sys.executable, "-m", "onnxplain", "explain", "photo.png"],
        env={**os.environ, "PYTHONPATH": place},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert f"OpenCV cannot be loaded ({text})" in process.stderr
    assert "opencv-python-headless" in process.stderr
    assert package in process.stderr
