"""Progress that shows by itself: a bar on a terminal or in a notebook, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

# Moves a bar: takes how much is done, how much there is, and a remark.
Move: TypeAlias = Callable[[int, int, str], None]

WIDTH = 30  # characters of the plain bar


def is_watched() -> bool:
    """Return whether somebody sees a bar: stderr is a terminal, or this is a notebook."""
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


@contextmanager
def show_progress(label: str, shown: bool | None) -> Iterator[Move]:
    """Show a progress bar, by tqdm where it is installed, and yield the function that moves it.

    Parameters
    ----------
    label : str
        What is counted.
    shown : bool or None
        Whether to show it; None to decide by `is_watched`.
    """
    if not (is_watched() if shown is None else shown):
        yield lambda done, total, remark: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        with _show_plainly(label) as move:
            yield move
        return
    with tqdm(desc=label, leave=False) as bar:
        yield lambda done, total, remark: _move_tqdm(bar, done, total, remark)


def _move_tqdm(bar: Any, done: int, total: int, remark: str) -> None:
    bar.total = total
    bar.set_postfix_str(remark, refresh=False)
    bar.update(done - bar.n)


@contextmanager
def _show_plainly(label: str) -> Iterator[Move]:
    """Draw a bar in one line of stderr, and wipe it at the end."""
    stream, drawn = sys.stderr, ""

    def move(done: int, total: int, remark: str) -> None:
        nonlocal drawn
        filled = WIDTH * done // max(total, 1)
        line = f"{label} [{'#' * filled}{' ' * (WIDTH - filled)}] {done}/{total} {remark}".rstrip()
        if line != drawn:
            stream.write("\r" + line.ljust(len(drawn)))
            stream.flush()
            drawn = line

    try:
        yield move
    finally:
        stream.write("\r" + " " * len(drawn) + "\r")
        stream.flush()
