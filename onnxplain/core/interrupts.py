"""Ctrl-C in a process of our own: one message and exit code 130, whenever it comes.

An exception that a signal raises is lost where Python calls code that cannot fail, as ``__del__``,
and becomes another error while a library in C is imported. So it is raised in work alone, never
during an import, and again if it was lost.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

EXIT_CODE = 130  # the convention of shells for SIGINT
MESSAGE = b"Error: interrupted\n"
IMPORTING = "<frozen importlib._bootstrap>"  # the file of the frames that import
DELAY = 0.02  # seconds until an interrupt is tried again


def own_interrupts() -> None:
    """Let Ctrl-C end this process with a message from now on, and print no traceback.

    Nothing changes where interrupts are ignored, as in a shell's jobs in the background.
    """
    sys.unraisablehook = _raise_again
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the first Ctrl-C raise ``KeyboardInterrupt`` in a block, so that its work ends in order.

    The next one ends the process at once. Nothing changes in a process that is not our own.
    """
    if signal.getsignal(signal.SIGINT) is not _end:
        yield
        return
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _raise:
            signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    """End the process where no work has to be ended in order: before it, and after it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what follows may wait for a reader
    with suppress(Exception):  # it is being written to, or closed
        sys.stdout.flush()
    with suppress(OSError):
        os.write(2, MESSAGE)
    os._exit(EXIT_CODE)


def _raise(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        _interrupt_later()
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False


def _interrupt_later() -> None:
    # Not by `threading`: the signal may have come while one of its locks is held.
    _thread.start_new_thread(_wait_and_interrupt, ())


def _wait_and_interrupt() -> None:
    time.sleep(DELAY)
    _thread.interrupt_main()


def _raise_again(lost: Any) -> None:
    """Log an exception that could not be raised where it arose; raise an interrupt once more."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # since the interrupt was raised
            signal.signal(signal.SIGINT, _raise)
        _interrupt_later()
        return
    import logging

    logging.getLogger(__name__).debug("%s", lost.err_msg, exc_info=lost.exc_value)
