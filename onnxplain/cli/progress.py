"""The progress bar: exact counts and the time left, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress(
    *, shown: bool, label: str = "evaluations"
) -> Iterator[Callable[[int, int, int], None]]:
    """A bar, and the function that moves it: it is told what is done, in all, and inpaints made.

    Nothing is shown where stderr is no terminal.
    """
    shown = shown and _is_watched()
    with click.progressbar(
        length=1,
        label=label,
        file=sys.stderr,
        show_pos=True,
        hidden=not shown,
        item_show_func=_as_text,
    ) as bar:

        def move(done: int, total: int, inpaints: int) -> None:
            bar.length = total
            bar.current_item = inpaints
            bar.update(done - bar.pos)
            bar.render_progress()  # there may be inpaints where no evaluation is done

        yield move


def _is_watched() -> bool:
    """Whether stderr is a terminal; Python has none where the shell closed it."""
    return sys.stderr is not None and sys.stderr.isatty()


def _as_text(inpaints: int | None) -> str | None:
    return f"{inpaints} inpaints" if inpaints else None


def clear_line() -> None:
    """Make room for a line where the bar is; it comes back with the next step."""
    if _is_watched():
        click.echo("\r\x1b[K", nl=False, err=True)
