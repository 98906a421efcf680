"""Explanations are read back, and what is none is refused."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onnxplain.core.errors import OutputError
from onnxplain.results import (
    Explanation,
    load_explanation,
)


def test_saved_explanation_is_read_back(explanation: Explanation, tmp_path: Path):
    loaded = load_explanation(explanation.save(tmp_path).heatmap)
    assert loaded.record() == explanation.record()
    assert loaded.window == explanation.window
    assert loaded.order is None
    for name in ("heatmap", "full_heatmap", "coarse"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(explanation, name))
        assert getattr(loaded, name).dtype == np.float32


def test_files_of_the_first_format_are_read(explanation: Explanation, tmp_path: Path):
    path = replace(explanation, photo=None).save(tmp_path).heatmap
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["record"] = np.array(str(arrays["record"]).replace('"format": 2', '"format": 1'))
    np.savez(path, **arrays)
    assert load_explanation(path).photo is None


def truncate(path: Path, good: bytes) -> None:
    path.write_bytes(good[: len(good) // 2])


def write_pickle(path: Path, good: bytes) -> None:
    np.savez(path, heatmap=np.array([{}], dtype=object), record=np.array("{}"), allow_pickle=True)


def write_foreign_npz(path: Path, good: bytes) -> None:
    np.savez(path, anything=np.zeros(3))


def write_newer_format(path: Path, good: bytes) -> None:
    np.savez(path, record=np.array(json.dumps({"format": 99})))


def write_text(path: Path, good: bytes) -> None:
    path.write_text("hello")


def write_zip(path: Path, good: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("heatmap.npy", b"junk")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (truncate, "is not a complete explanation"),
        (write_pickle, "is not a complete explanation"),
        (write_foreign_npz, "is not a complete explanation"),
        (write_newer_format, "has format 99, but this version reads format 2"),
        (write_text, "is not a complete explanation"),
        (write_zip, "is not a complete explanation"),
    ],
)
def test_damaged_files_are_refused(explanation: Explanation, tmp_path: Path, spoil, text):
    path = explanation.save(tmp_path).heatmap
    spoil(path, path.read_bytes())
    with pytest.raises(OutputError, match=text):
        load_explanation(path)


def test_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(OutputError, match="no such file"):
        load_explanation(tmp_path / "none.npz")


def test_empty_file_is_refused(tmp_path: Path):
    (tmp_path / "a.npz").write_bytes(b"")
    with pytest.raises(OutputError, match="not a complete explanation"):
        load_explanation(tmp_path / "a.npz")


def test_file_that_is_not_an_npz_is_refused(explanation: Explanation, tmp_path: Path):
    record = explanation.save(tmp_path).record
    with pytest.raises(OutputError, match=r"json: is not an \.npz; give the \.npz of"):
        load_explanation(record)


def test_explanation_that_expands_far_beyond_its_size_is_refused(
    explanation: Explanation, tmp_path: Path
):
    path = explanation.save(tmp_path).heatmap
    text = np.array(json.dumps(explanation.record()))
    np.savez_compressed(path, record=text, heatmap=np.zeros((4000, 4000), np.float32))
    with pytest.raises(OutputError, match="expands far beyond its size"):
        load_explanation(path)


def test_record_that_is_nested_too_deep_is_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", record=np.array(100_000 * "["))
    with pytest.raises(OutputError, match=r"a\.npz.*nested deeper"):
        load_explanation(tmp_path / "a.npz")
