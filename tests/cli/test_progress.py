"""The progress bar."""

from __future__ import annotations

import io
import sys

import pytest

from onnxplain.cli.progress import show_progress
from onnxplain.cli.terminal import clear_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def attach_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr a terminal; in the test itself, as pytest replaces it after fixtures."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_bar_shows_label_counts_and_inpaints(monkeypatch: pytest.MonkeyPatch):
    terminal = attach_terminal(monkeypatch)
    with show_progress(shown=True, label="net.onnx") as move:
        move(3, 8, 0)
        assert "3/8" in terminal.getvalue()
        assert "inpaints" not in terminal.getvalue()
        move(3, 8, 5)
        move(8, 8, 5)
    assert "net.onnx" in terminal.getvalue()
    assert "8/8" in terminal.getvalue()
    assert "5 inpaints" in terminal.getvalue()


def test_total_may_fall(monkeypatch: pytest.MonkeyPatch):
    terminal = attach_terminal(monkeypatch)
    with show_progress(shown=True) as move:
        move(2, 8, 0)
        move(2, 4, 0)
        move(4, 4, 0)
    assert "4/4" in terminal.getvalue()


def test_nothing_is_shown_if_quiet_or_not_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    terminal = attach_terminal(monkeypatch)
    with show_progress(shown=False) as move:
        move(1, 2, 0)
    assert terminal.getvalue() == ""
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        with show_progress(shown=True) as move:
            move(1, 2, 0)
        clear_line()
        assert stream is None or stream.getvalue() == ""


def test_line_of_the_bar_is_cleared_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    terminal = attach_terminal(monkeypatch)
    clear_line()
    assert terminal.getvalue() == "\r\x1b[K"
