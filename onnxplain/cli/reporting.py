"""Errors as the user sees them: one message and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click

from onnxplain.cli.terminal import show
from onnxplain.core import interrupts
from onnxplain.core.errors import (
    OnnxplainError,
    format_in_one_line,
    is_short_of_memory,
    tell_reason,
)
from onnxplain.core.escaping import escape

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[1]


class Interrupted(click.ClickException):
    """The user stopped a run."""

    exit_code = interrupts.EXIT_CODE


class Bug(click.ClickException):
    """An error that nobody foresaw."""

    exit_code = 70  # EX_SOFTWARE


@contextmanager
def report_errors(*, arguments: bool = False) -> Iterator[None]:
    """Turn errors that the user can correct into messages with exit code 1.

    Parameters
    ----------
    arguments : bool
        Whether the block handles the arguments of the command line. Then a ``ValueError``
        or ``TypeError`` means that the command line is wrong, and the exit code is 2.
    """
    try:
        yield
    except OnnxplainError as error:
        raise click.ClickException(str(error)) from error
    except (MemoryError, ImportError) as error:
        if not is_short_of_memory(error):
            raise
        reason = str(error) or "none is left"
        raise click.ClickException(f"not enough memory: {reason}; free some memory") from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader of the output has closed it, as head does: click exits silently
        log.debug("", exc_info=error)
        _empty_full_streams()
        where = "a file or the output"
        if isinstance(error.filename, str | bytes | os.PathLike):  # neither None nor a number
            where = click.format_filename(error.filename)
        raise click.ClickException(f"{where}: {tell_reason(error)}") from error
    except (ValueError, TypeError) as error:
        if arguments:
            raise click.UsageError(str(error)) from error
        raise


@contextmanager
def guard(*, debug: bool) -> Iterator[None]:
    """End with a message and an exit code: everything that the command line raises passes here.

    Parameters
    ----------
    debug : bool
        Whether to show tracebacks.
    """
    try:
        with interrupts.interruptible():
            yield
    except (click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt as stop:
        _end_with(Interrupted(f"interrupted; {stop}" if str(stop) else "interrupted"))
    except click.ClickException as error:
        if debug and error.__cause__ is not None:
            _show_traceback(error.__cause__)
        _end_with(error)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise
        if debug:
            _show_traceback(error)
        _end_with(Bug(_describe_bug(error)))


def _end_with(error: click.ClickException) -> NoReturn:
    """Show an error, and end with its exit code even if nobody reads what is shown."""
    vars(error)["message"] = escape(error.message)
    try:
        error.show()
    except OSError:
        _empty_full_streams()
    raise click.exceptions.Exit(error.exit_code) from None


def _show_traceback(error: BaseException) -> None:
    show("".join(traceback.format_exception(error)), err=True, end="")


def _describe_bug(error: Exception) -> str:
    """Say what happened where in the package, and what to report."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]
    where = "outside of its files"
    if own:
        where = f"{Path(own[-1].filename).relative_to(PACKAGE.parent).as_posix()}:{own[-1].lineno}"
    text = " ".join(str(error).split())
    what = type(error).__name__ + (f": {text[:300]}" if text else "")
    return (
        f"this is a bug of onnxplain, at {where}: {what}\n"
        f"Please report this line, the command, and what onnxplain --version prints; the same "
        f"command as onnxplain --debug ... shows the traceback, which helps, as does the file "
        f"that it fails on."
    )


def _empty_full_streams() -> None:
    """Discard output that cannot be written; Python would flush it again at exit and return 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # None if the shell closed the stream
                stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def format_failure(image: str, error: Exception) -> str:
    """Format in one line why an image failed."""
    log.debug("%s", image, exc_info=error)
    text = format_in_one_line(error)
    return text if text.startswith(image) else f"{image}: {text}"
