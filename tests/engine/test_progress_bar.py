"""Progress shows by itself where somebody sees it, and nowhere else."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import onnxplain
from onnxplain.engine.progress_bar import show_progress

PHOTO = np.zeros((8, 8, 3), np.uint8)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watch(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> io.StringIO:
    """Replace stderr; in the test itself, as pytest replaces it again after the fixtures."""
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@contextmanager
def without_tqdm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tqdm.auto", None)
        yield


def explain(**options: object) -> None:
    classifier = onnxplain.from_callable(
        lambda images: images.mean(axis=(1, 2)), size=(8, 8), n_classes=3
    )
    onnxplain.explain(classifier, PHOTO, "sp:patch=4", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("tqdm", [True, False])
def test_bar_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch, tqdm: bool) -> None:
    terminal = watch(monkeypatch, Terminal())
    if tqdm:
        pytest.importorskip("tqdm")
        explain()
    else:
        with without_tqdm(monkeypatch):
            explain()
    assert "evaluations" in terminal.getvalue()


def test_nothing_is_shown_where_it_is_switched_off_or_somebody_else_shows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = watch(monkeypatch, Terminal())
    explain(progress=False)
    calls: list[tuple[int, int, int]] = []
    explain(on_progress=lambda *counts: calls.append(counts))
    assert terminal.getvalue() == ""
    assert calls[-1][0] == calls[-1][1]


def test_nothing_is_shown_in_a_file_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = watch(monkeypatch, io.StringIO())
    explain()
    assert stream.getvalue() == ""
    explain(progress=True)
    assert "evaluations" in stream.getvalue()


def test_plain_bar_counts_and_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch, Terminal())
    with without_tqdm(monkeypatch), show_progress("evaluations", True) as move:
        move(1, 4, "")
        move(4, 4, "2 inpaints")
    first, last, wiped, end = terminal.getvalue().split("\r")[1:]
    assert first == f"evaluations [{'#' * 7}{' ' * 23}] 1/4"
    assert last == f"evaluations [{'#' * 30}] 4/4 2 inpaints"
    assert (wiped.strip(), end) == ("", "")
