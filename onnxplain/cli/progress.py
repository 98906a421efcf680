"""The progress bar: exact counts and the time left, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def show_progress(
    *, shown: bool, label: str = "evaluations"
) -> Iterator[Callable[[int, int, int], None]]:
    """Show a progress bar, and yield a function that moves it.

    The function takes the number of evaluations done, their total, and the number of
    inpaints. Nothing is shown if stderr is not a terminal.
    """
    shown = shown and _is_terminal()
    with click.progressbar(
        length=1,
        label=label,
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


def clear_line() -> None:
    """Clear the line of the bar, so that a message can be printed; the next step redraws it."""
    if _is_terminal():
        click.echo("\r\x1b[K", nl=False, err=True)


def _is_terminal() -> bool:
    """Return whether stderr is a terminal; Python has no stderr if the shell closed it."""
    return sys.stderr is not None and sys.stderr.isatty()


def _format_inpaints(inpaints: int | None) -> str | None:
    return f"{inpaints} inpaints" if inpaints else None
