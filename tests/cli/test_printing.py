"""What ``onnxplain evaluate`` prints of a study."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from onnxplain.cli.printing import StudyView, print_failed_rows, print_study
from onnxplain.study.plan import Plan
from onnxplain.study.preparation import log
from onnxplain.study.progress import StudyProgress
from onnxplain.study.result import Study
from onnxplain.study.rows import Row, RowFile

Captured = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_failed_rows_are_printed_with_what_failed(capsys: Captured):
    failed: Row = {"image": "a.png", "status": "error", "error": "too dark"}
    print_failed_rows([{"image": "b.png", "status": "done"}, failed])
    print_failed_rows([{**failed, "method": "sp", "metric": "deletion"}])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "Error: a.png: too dark\nError: a.png, sp, deletion: too dark\n"


def test_every_classifier_has_a_bar(monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with StudyView(quiet=False) as view:
        assert not view.is_running
        view.update(StudyProgress("first.onnx", 0, 0, 4, 0))
        assert view.is_running
        view.update(StudyProgress("first.onnx", 0, 4, 4, 3))
        view.update(StudyProgress("second.onnx", 1, 2, 4, 0))
    first, second = terminal.getvalue().split("second.onnx", 1)
    assert "first.onnx" in first
    assert "4/4" in first
    assert "3 inpaints" in first
    assert "2/4" in second


def test_notices_are_warnings_while_the_study_is_shown(capsys: Captured):
    with StudyView(quiet=True):
        log.warning("3 images are left out")
    assert capsys.readouterr().err == "Warning: 3 images are left out\n"
    assert log.propagate
    assert not log.handlers


def write_image_rows(folder: Path, *statuses: str) -> Study:
    rows: list[Row] = [
        {"key": str(i), "kind": "image", "image": f"{i}.png", "status": status, "model": "net.onnx"}
        for i, status in enumerate(statuses)
    ]
    RowFile(folder / "rows.jsonl").append(rows)
    return Study(Plan(), folder, frozenset(row["key"] for row in rows))


def test_images_are_counted_by_verdict(tmp_path: Path, capsys: Captured):
    print_study(write_image_rows(tmp_path, "done", "wrong", "done", "error"), quiet=False)
    shown = capsys.readouterr()
    counted, where = shown.err.splitlines()
    assert counted == "net.onnx: images classified correctly: 2, wrongly: 1, failed: 1"
    assert where == f"{tmp_path}: means, pairs, by-method (.csv, .md, .tex) and rows.jsonl"
    assert shown.out == "no image was judged\n"
    print_study(write_image_rows(tmp_path, "wrong"), quiet=True)
    assert capsys.readouterr().err == ""


def test_option_is_suggested_if_all_images_are_wrong(tmp_path: Path, capsys: Captured):
    print_study(write_image_rows(tmp_path, "wrong", "error"), quiet=False)
    assert "; --all-images judges wrongly" in capsys.readouterr().err
