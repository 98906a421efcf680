"""Patterns from photos: the file, its facts, and runs that are interrupted."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from onnxplain.core.errors import ModelError
from onnxplain.core.pattern_files import read_patterns
from onnxplain.study.patterns import estimate_patterns
from tests.helpers import models
from tests.helpers.chains import CLASSES, MEAN, SIZE, STD, draw_weights, make_net

FLAGS = {"layout": "nchw", "head": "logits", "range": (0, 1), "mean": MEAN, "std": STD}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path: Path = models.save(make_net(draw_weights()), tmp_path / "net.onnx")
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    rng, paths = np.random.default_rng(6), []
    for place in range(9):
        path = tmp_path / f"photo{place}.png"
        PIL.Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(path)
        paths.append(path)
    return paths


def test_file_says_what_it_was_made_of(model: Path, photos: list[Path], tmp_path: Path) -> None:
    output, counts = tmp_path / "out" / "patterns.npz", []
    made = estimate_patterns(
        model, photos, output, on_progress=lambda *count: counts.append(count), **FLAGS
    )
    assert counts[-1] == (9, 9)
    assert [path.name for path in output.parent.iterdir()] == ["patterns.npz"]
    read = read_patterns(output)
    assert list(read.by_layer) == ["a1", "a2", "a3", "scores"]
    assert read.facts["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert read.facts["photos"] == 9
    assert set(read.facts["dead"]) == {"linear", "relu"}
    for layer, patterns in read.by_layer.items():
        assert patterns["relu"].dtype == np.float32
        for name, values in patterns.items():
            np.testing.assert_array_equal(values, made.by_layer[layer][name])
    assert read.by_layer["scores"]["relu"].shape == (CLASSES, 6)


def test_interrupted_run_goes_on(
    model: Path, photos: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, output = tmp_path / "whole.npz", tmp_path / "patterns.npz"
    estimate_patterns(model, photos, whole, **FLAGS)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        estimate_patterns(model, photos, output, on_progress=stop, **FLAGS)
    part = tmp_path / "patterns.npz.part"
    assert part.exists()
    assert not output.exists()
    counts: list[int] = []
    estimate_patterns(
        model, photos, output, on_progress=lambda done, _: counts.append(done), **FLAGS
    )
    assert counts == [8, 9]  # the first four were there
    assert not part.exists()
    first, second = read_patterns(whole), read_patterns(output)
    assert first.facts == second.facts
    for layer, patterns in first.by_layer.items():
        for name, values in patterns.items():
            np.testing.assert_array_equal(values, second.by_layer[layer][name])

    with pytest.raises(KeyboardInterrupt):  # other photos: nothing is taken over
        estimate_patterns(model, photos[::-1], output, on_progress=stop, **FLAGS)
    with caplog.at_level(logging.WARNING):
        estimate_patterns(model, photos, output, **FLAGS)
    assert "of another model or of other photos; starting with the first photo" in caplog.text
    assert read_patterns(output).facts == first.facts


def test_photos_that_cannot_be_read_are_left_out(
    model: Path, photos: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no photo")
    made = estimate_patterns(model, [bad, *photos], tmp_path / "p.npz", **FLAGS)
    assert made.facts["photos"] == 9
    assert "left out" in caplog.text
    with pytest.raises(ModelError, match="none that can be read"):
        estimate_patterns(model, [bad], tmp_path / "q.npz", **FLAGS)
