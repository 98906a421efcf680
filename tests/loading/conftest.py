"""A small model as a file, and a cache of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.helpers import models

SIZE = (48, 48)
# Pixels that are multiples of 1/256 are moved without rounding.
IMAGE = (np.random.default_rng(0).integers(0, 256, (*SIZE, 3)) / 256).astype(np.float32)
DESCRIPTION: dict[str, Any] = {"range": (0, 1), "mean": 0.5, "std": 0.25, "device": "cpu"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=[False, True], ids=["one file", "external"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    model, path = models.convnet(SIZE), tmp_path / "net.onnx"
    # ONNX Runtime needs the shape that Reshape takes, 16 bytes, in the file itself.
    onnx.save(model, path, save_as_external_data=request.param, location="w", size_threshold=99)
    return path
