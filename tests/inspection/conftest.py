"""A small model, and a photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from onnxplain.runtime import tuning
from tests.helpers import models

SIZE = (16, 16)
PHOTO = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture(autouse=True)
def quick_and_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure shortly, and do not write to the user's cache."""
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "SECONDS", 0.005)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.save(models.convnet(SIZE), tmp_path / "tiny.onnx")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    PIL.Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"
