"""Files that are replaced whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from onnxplain.core.errors import OutputError


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, as `open_replacement` does; make its folder if needed.

    Raises
    ------
    OSError
        If the folder cannot be made or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_replacement(path) as file:
        file.write(content)


def is_special(path: Path) -> bool:
    """Return whether a path is a device or a pipe, which may never end; folders are not."""
    mode = path.stat().st_mode
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, unless it is a device or a pipe.

    Raises
    ------
    OSError
        If it is one, or cannot be opened.
    """
    if is_special(path):
        raise OSError(errno.EINVAL, "it is a device or a pipe, not a file", os.fspath(path))
    return path.open("rb")


@contextlib.contextmanager
def open_replacement(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` when it is complete, and only then.

    Until then the file has another name: readers of `path` see either the old file or the new
    one, and if two writers meet, one of them wins. The folder must exist.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with open_part(path.parent) as (part, file):
        yield file
        file.close()  # Windows renames closed files only
        part.replace(path)


@contextlib.contextmanager
def open_part(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Open a file under a name that nobody else has; it is gone after the block, unless moved.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    # The name is not made from that of a target, which may be as long as names can be.
    part = folder / f".{uuid.uuid4().hex}"
    try:
        with part.open("xb") as file:
            yield part, file
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def claim(part: Path, path: Path) -> bool:
    """Give a complete file a name, only if nobody has the name; return whether that was so.

    Of several processes that claim a name at the same time, one gets it.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links: the name is taken first, and then filled
        try:
            path.open("xb").close()
        except FileExistsError:
            return False
        path.write_bytes(part.read_bytes())
    return True


@contextlib.contextmanager
def wrap_write_errors(place: Path) -> Iterator[None]:
    """Turn an ``OSError`` raised in the block into an error that names the file or folder.

    Raises
    ------
    OutputError
        If the block raises an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{place}: cannot be written ({error.strerror or error}); give another place"
        ) from error
