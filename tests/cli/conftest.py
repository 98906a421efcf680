"""A small model, photos, and the command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest
from click.testing import CliRunner, Result

import onnxplain
from onnxplain.cli import main
from onnxplain.cli.reporting import Bug
from onnxplain.subjects import fit_to_classifier, from_array
from tests.helpers import models

SIZE = (16, 16)
SPEC = 'range = [0, 1]\nclass_names = ["cat, kitty", "dog", "bird"]\n'

Run = Callable[..., Result]

# What makes ``onnxplain evaluate`` quick.
FEW = (
    *("--method", "sp:patch=4,stride=4", "--method", "rise:n_masks=30,grid=4"),
    *("--metric", "deletion:step=32", "--metric", "localisation"),
    *("--batch-size", 8),  # not measured
)
HEAD = "file,class_index,xmin,ymin,xmax,ymax,width,height\n"

# A new process finds the package wherever it runs.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(onnxplain.__file__).parents[1])}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the command runs."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def run() -> Run:
    """Run ``onnxplain`` with these words."""

    def run(*words: object) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words], prog_name="onnxplain")
        # Anything but an exit would be a traceback on the user's screen.
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert result.exit_code != Bug.exit_code, result.stderr
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
def convnet(model: Path) -> Path:
    """A classifier with layers: convolutions, pooling and a dense layer."""
    onnx.save(models.convnet(SIZE, classes=3), model)
    return model


@pytest.fixture
def photo(folder: Path) -> Path:
    path = folder / "photo.png"
    make_noise().save(path)
    return path


@pytest.fixture
def photos(folder: Path, model: Path) -> Path:
    """Eight photos, all but the last labelled with the class that the model predicts."""
    classifier = onnxplain.load(model, device="cpu", batch_size=1)
    lines = [HEAD]
    (folder / "photos").mkdir()
    for i in range(8):
        photo = make_noise(i)
        photo.save(folder / "photos" / f"{i}.png")
        _, image = fit_to_classifier(classifier, from_array(np.asarray(photo)))
        predicted = int(classifier.scores(image[None]).argmax())
        label = (predicted + 1) % 3 if i == 7 else predicted
        lines.append(f"{i}.png,{label},8,4,22,16,30,20\n")
    (folder / "labels.csv").write_text("".join(lines))
    return folder / "photos"


def make_noise(seed: int = 0) -> PIL.Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    return PIL.Image.fromarray(pixels)


def make_words(photos: Path, model: Path, *more: object) -> tuple[object, ...]:
    """Make the words of a quick ``onnxplain evaluate``."""
    return ("evaluate", photos, "--annotations", "labels.csv", "-m", model, *FEW, *more)


def parse_lines(text: str) -> list[dict[str, Any]]:
    """Parse one JSON object per line."""
    return [json.loads(line) for line in text.splitlines()]


def read_lines(path: Path) -> list[dict[str, Any]]:
    return parse_lines(path.read_text())


def index_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a file by key, of which no two are equal."""
    rows = read_lines(path)
    assert len({row["key"] for row in rows}) == len(rows)
    return {row["key"]: row for row in rows}
