"""A small model, a photo, and the command."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest
from click.testing import CliRunner, Result

import onnxplain
from onnxplain.cli import main
from tests.helpers import models

SIZE = (16, 16)
SPEC = 'range = [0, 1]\nclass_names = ["cat, kitty", "dog", "bird"]\n'

Run = Callable[..., Result]

# A new process finds the package wherever it runs.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(onnxplain.__file__).parents[1])}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def run() -> Run:
    """Run ``onnxplain`` with these words."""

    def run(*words: object) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words], prog_name="onnxplain")
        # What is no exit is a traceback on the user's screen.
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result

    return run


@pytest.fixture
def own_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(folder.parent / "cache"))


@pytest.fixture
def model(folder: Path, own_cache: None) -> Path:
    """A classifier of three classes, described by the file beside it."""
    path = folder / "tiny.onnx"
    onnx.save(models.additive(models.weights(SIZE)), path)
    path.with_suffix(".toml").write_text(SPEC)
    return path


@pytest.fixture
def photo(folder: Path) -> Path:
    path = folder / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(path)
    return path
