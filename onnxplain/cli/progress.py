"""The progress bar: exact counts and the time left, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from onnxplain.cli.terminal import is_terminal
from onnxplain.core.escaping import escape


@contextmanager
def show_progress(
    *, shown: bool, label: str = "evaluations"
) -> Iterator[Callable[[int, int, int], None]]:
    """Show a progress bar, and yield a function that moves it.

    The function takes the number of evaluations done, their total, and the number of
    inpaints. Nothing is shown if stderr is not a terminal.
    """
    shown = shown and is_terminal()
    with click.progressbar(
        length=1,
        label=escape(label),
        file=sys.stderr,
        show_pos=True,
        hidden=not shown,
        item_show_func=_format_inpaints,
    ) as bar:

        def move(done: int, total: int, inpaints: int) -> None:
            bar.length = total
            bar.current_item = inpaints
            bar.update(done - bar.pos)
            bar.render_progress()  # inpaints may be made before an evaluation is done

        yield move


def _format_inpaints(inpaints: int | None) -> str | None:
    return f"{inpaints} inpaints" if inpaints else None
