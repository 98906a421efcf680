r"""The gate to the terminal: what is printed here can move no cursor and change no colour.

Names of files, tensors and classes, metadata and the texts of errors are foreign: they may hold
escape sequences. They all pass `escape`, which writes control characters as ``\x1b``.
"""

from __future__ import annotations

import copy
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

import click

from onnxplain.core.escaping import escape


def show(text: object, *, err: bool = False, end: str = "\n") -> None:
    """Print a text to stdout, or to stderr."""
    stream = sys.stderr if err else sys.stdout
    escaped = escape(str(text))
    if encoding := getattr(stream, "encoding", None):  # a stream may lack some characters
        escaped = escaped.encode(encoding, "backslashreplace").decode(encoding)
    click.echo(escaped + end, nl=False, err=err)


def show_json(value: Mapping[str, Any]) -> None:
    """Print an object as one line of JSON, which escapes by its own rules."""
    show(json.dumps(value).replace("\x7f", "\\u007f"))


def clear_line() -> None:
    """Make room for a line where the bar is; the bar comes back with the next step."""
    if is_terminal():
        click.echo("\r\x1b[K", nl=False, err=True)


def is_terminal() -> bool:
    """Return whether stderr is a terminal; Python has no stderr if the shell closed it."""
    return sys.stderr is not None and sys.stderr.isatty()


class TerminalFormatter(logging.Formatter):
    """Formats records of the log for a terminal, with tracebacks only if they are asked for.

    Parameters
    ----------
    debug : bool
        Whether to show tracebacks.
    """

    def __init__(self, *, debug: bool) -> None:
        super().__init__("%(levelname)s: %(message)s")
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        if not self._debug and record.exc_info:
            error = record.exc_info[1]
            record = copy.copy(record)
            record.msg, record.args = f"{record.getMessage()} ({error!r})".lstrip(), ()
            record.exc_info = record.exc_text = None
        return escape(super().format(record))
