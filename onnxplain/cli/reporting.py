"""Errors as the user sees them: one message and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from onnxplain.core.errors import OnnxplainError, format_in_one_line

log = logging.getLogger(__name__)


class Interrupted(click.ClickException):
    """The user stopped a run."""

    exit_code = 130  # the convention of shells for SIGINT


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
    except KeyboardInterrupt as stop:
        raise Interrupted(f"interrupted; {stop}" if str(stop) else "interrupted") from None
    except MemoryError as error:
        raise click.ClickException(f"not enough memory: {error or 'none is left'}") from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader of the output has closed it, as head does: click exits silently
        log.debug("", exc_info=error)
        _empty_full_streams()
        where = "a file or the output"
        if isinstance(error.filename, str | bytes | os.PathLike):  # neither None nor a number
            where = click.format_filename(error.filename)
        raise click.ClickException(f"{where}: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        if arguments:
            raise click.UsageError(str(error)) from error
        raise


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
