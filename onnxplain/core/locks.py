"""Locks on files between processes; the system frees those of a process that ends."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from onnxplain.core.files import open_regular

log = logging.getLogger(__name__)

_FAR = 1 << 40  # Windows locks bytes; nobody reads or writes this one


class FileLocked(Exception):
    """Another process, or another part of this one, holds the lock."""


@contextlib.contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made if it does not exist; others can still read it.

    Where the file system has no locks, nothing is locked.

    Raises
    ------
    FileLocked
        If somebody else holds it.
    OSError
        If the file cannot be opened for writing, or is a device or a pipe.
    """
    with open_regular(path, "ab") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                raise FileLocked(str(path)) from error
            log.info("%s: cannot be locked: %s", path, error)
        yield  # closing the file frees the lock


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
