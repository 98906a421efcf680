"""The progress bar: exact counts and the time left, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import click

from onnxplain.cli.terminal import is_terminal
from onnxplain.core.escaping import escape


class Move(Protocol):
    """Moves a progress bar."""

    def __call__(self, done: int, total: int, inpaints: int, workers: int = 0) -> None:
        """Show how much is done, the inpaints made, and the workers of a cluster that are ready."""
        ...


class _Beside(NamedTuple):
    """What is shown beside the bar."""

    inpaints: int
    workers: int
    per_second: float


@contextmanager
def show_progress(*, shown: bool, label: str = "evaluations") -> Iterator[Move]:
    """Show a progress bar, and yield a function that moves it.

    Nothing is shown if stderr is not a terminal.
    """
    shown = shown and is_terminal()
    with click.progressbar(
        length=1,
        label=escape(label),
        file=sys.stderr,
        show_pos=True,
        hidden=not shown,
        item_show_func=_format_beside,
    ) as bar:
        began = time.monotonic()

        def move(done: int, total: int, inpaints: int, workers: int = 0) -> None:
            bar.length = total
            rate = done / max(time.monotonic() - began, 1e-9)
            bar.current_item = _Beside(inpaints, workers, rate)
            bar.update(done - bar.pos)
            bar.render_progress()  # inpaints may be made before an evaluation is done

        yield move


def _format_beside(beside: _Beside | None) -> str | None:
    if beside is None:
        return None
    parts = [f"{beside.inpaints} inpaints"] if beside.inpaints else []
    if beside.workers:
        parts += [f"{beside.workers} workers", f"{beside.per_second:.1f}/s"]
    return ", ".join(parts) or None
