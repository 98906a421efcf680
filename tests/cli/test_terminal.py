"""Foreign texts reach the terminal without control characters."""

from __future__ import annotations

import ast
import io
import json
import sys
from pathlib import Path

import PIL.Image
import pytest

import onnxplain.cli
from onnxplain.cli.terminal import show, show_json
from onnxplain.core.escaping import escape
from tests.cli.conftest import Run

EVIL = "red\x1b[31m\x07\x9b2J\x7f‮\r\tx"


def test_control_characters_are_written_out_and_letters_stay():
    assert escape(EVIL) == r"red\x1b[31m\x07\x9b2J\x7f\u202e\r\tx"
    for harmless in ("tabby, tabby cat\nünïcode 字 \u00a0\u200d", "a \\x1b b"):
        assert escape(harmless) == harmless


def test_json_stays_json(capsys: pytest.CaptureFixture[str]):
    show_json({"name": EVIL})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"name": EVIL}
    assert printed.rstrip("\n").isprintable()


def test_stream_that_lacks_a_character_is_no_error(monkeypatch: pytest.MonkeyPatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    show("grün 字 \udcff")
    sys.stdout.flush()
    assert raw.getvalue() == "grün \\u5b57 \\udcff\n".encode("latin-1")


def test_everything_is_printed_through_the_gate():
    for path in Path(onnxplain.cli.__file__).parent.glob("*.py"):
        if path.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "attr", getattr(node, "id", None))
            assert name not in ("echo", "secho", "print", "echo_via_pager"), path


@pytest.mark.skipif(sys.platform == "win32", reason="no such file names there")
def test_names_of_files_and_classes_and_errors_are_escaped(run: Run, model: Path, photo: Path):
    evil = photo.with_name("a\x1b[31mb.png")
    PIL.Image.open(photo).save(evil)
    names = ["\x1b]0;owned\x07cat", "dog\x1b[2J", "bird\x9b1m"]
    labels = model.with_name("la\x1b[1mbels.json")
    labels.write_text(json.dumps(names))
    words = ("-m", model, "--n-masks", 4, "--labels", labels, "--batch-size", 1)
    results = [
        run("explain", evil, *words),
        run("explain", "no\x1b[31m.png", *words),
        run("explain", evil, *words, "-t", "\x1b[31m"),
        run("explain", evil, *words, "--fill", "\x1b[31m"),
        run("explain", evil, *words, "--\x1b[31m"),
        run("inspect", model, "--labels", labels, "--image", evil),
        run("evaluate", "\x1b[31m"),
        run("\x1b[31m"),
    ]
    for result in results:
        assert "\x1b" not in result.output
        assert "\x07" not in result.output
        assert "\x9b" not in result.output
    assert results[0].exit_code == 0
    assert results[5].exit_code == 0
    assert r"a\x1b[31mb.png" in results[0].stdout
