"""Explanations are written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onnxplain.core.errors import OutputError
from onnxplain.image import read_image
from onnxplain.results import (
    Explanation,
    check_folder,
    load_explanation,
)


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
def test_a_path_of_a_file_is_that_file(explanation: Explanation, tmp_path: Path, suffix: str):
    path = tmp_path / "new" / f"espresso{suffix}"
    saved = explanation.save(path)
    assert explanation.save(str(path)) == saved  # replaced
    assert list(path.parent.iterdir()) == [path] == [file for file in saved if file]
    if suffix == ".png":
        np.testing.assert_array_equal(
            np.rint(read_image(path) * 255).astype(np.uint8), explanation.overlay()
        )
    elif suffix == ".npz":
        assert load_explanation(path).record() == explanation.record()
    else:
        assert json.loads(path.read_text()) == explanation.record()


def test_other_pictures_are_refused_and_a_folder_may_have_any_name(
    explanation: Explanation, tmp_path: Path
):
    with pytest.raises(ValueError, match=r"overlays are written as \.png"):
        explanation.save(tmp_path / "espresso.jpg")
    (tmp_path / "photos.png").mkdir()
    assert explanation.save(tmp_path / "photos.png").heatmap.parent == tmp_path / "photos.png"


def test_npz_needs_no_pickle_and_holds_the_record(explanation: Explanation, tmp_path: Path):
    saved = explanation.save(tmp_path)
    with np.load(saved.heatmap, allow_pickle=False) as stored:
        record = json.loads(str(stored["record"]))
    assert record == json.loads(saved.record.read_text())
    assert record["provenance"]["classifier"]["sha256"] == "ab"


def test_saving_again_replaces_the_files(explanation: Explanation, tmp_path: Path):
    first = explanation.save(tmp_path)
    assert replace(explanation, seconds=9.0).save(tmp_path) == first
    assert json.loads(first.record.read_text())["seconds"] == 9.0


def test_failure_while_writing_leaves_no_file(explanation: Explanation, tmp_path: Path):
    unwritable = replace(explanation, details={"bad": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        unwritable.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_file_in_place_of_the_folder_is_an_error(explanation: Explanation, tmp_path: Path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=r"out: cannot be written .*give another place"):
        explanation.save(tmp_path / "out")
    with pytest.raises(OutputError, match="cannot be written"):
        check_folder(tmp_path / "out" / "deeper")
