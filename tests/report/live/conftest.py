"""Explanations of photos by classifiers in files, for live pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest

import onnxplain
from tests.helpers import models

SIZE = (24, 20)


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo that is larger than the classifiers' inputs and wider than they are."""
    path = tmp_path_factory.mktemp("photo") / "<b>cat.png"
    y, x = np.mgrid[:60, :80] / 80
    rgb = np.stack([x, y, (np.sin(9 * x * y) + 1) / 2], axis=-1)
    PIL.Image.fromarray(np.rint(rgb * 255).astype(np.uint8)).save(path)
    return path


Explain = Callable[..., Path]


@pytest.fixture
def explain(photo: Path, tmp_path: Path) -> Explain:
    """Save a model as ``net.onnx``, explain the photo with it, and return the results' folder."""

    def explain(
        model: onnx.ModelProto, *methods: str, rows: int = 1, photo: Path = photo, **how: Any
    ) -> Path:
        onnx.save(model, tmp_path / "net.onnx")
        classifier = onnxplain.load(tmp_path / "net.onnx", device="cpu", batch_size=rows, **how)
        for method in methods:
            onnxplain.explain(classifier, photo, method, progress=False).save(tmp_path / "results")
        return tmp_path / "results"

    return explain


@pytest.fixture
def net() -> onnx.ModelProto:
    """A net with layers and gradients."""
    return models.convnet(SIZE, classes=7)
