"""Files that are replaced whole or not at all."""

from __future__ import annotations

import contextlib
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
    # The name is not made from that of `path`, which may be as long as names can be.
    part = path.with_name(f".{uuid.uuid4().hex}")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


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
