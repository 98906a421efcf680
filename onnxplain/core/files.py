"""Files that are replaced whole or not at all, and are no devices or pipes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import uuid
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedRandom, BufferedReader, BufferedWriter
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast, overload

from onnxplain.core.errors import DiskFull, OutputError, tell_reason


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


def check_ending(path: Path, ending: str, what: str) -> None:
    """Check the ending of a file to write, so that a photo or a model is not replaced by mistake.

    Parameters
    ----------
    path : Path
        The file.
    ending : str
        With the dot, such as ``.png``.
    what : str
        What is written, for the error.

    Raises
    ------
    ValueError
        If the path ends otherwise.
    """
    if path.suffix.lower() != ending:
        raise ValueError(f"{path}: {what} is a {ending}; give a path with this ending")


def shorten_name(name: str, max_bytes: int) -> str:
    """Cut a name to a number of bytes, as file systems count bytes and not characters."""
    while len(os.fsencode(name)) > max_bytes:
        name = name[:-1]
    return name


class FileStamp(NamedTuple):
    """What changes when a file is changed or replaced."""

    number: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> FileStamp | None:
        """Return the stamp of a file; None if there is none."""
        try:
            facts = path.stat()
        except OSError:
            return None
        return cls(facts.st_ino, facts.st_size, facts.st_mtime_ns)


def hash_file(path: Path) -> str | None:
    """Return the sha256 of a file's content; None if it cannot be read."""
    return _hash_stamped(path, FileStamp.of(path))


@lru_cache(maxsize=16)  # a study asks for every image
def _hash_stamped(path: Path, stamp: FileStamp | None) -> str | None:
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def describe_missing(path: Path) -> str:
    """Say that there is no such file, and what to do.

    Examples
    --------
    >>> describe_missing(Path("cat.jpg"))
    'cat.jpg: no such file; check the path'
    """
    # A path has lost the second slash of an address.
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(path), re.IGNORECASE):
        return f"{path}: is an address, and nothing is downloaded; save the file, and give its path"
    return f"{path}: no such file; check the path"


class SpecialFile(OSError):
    """A device or a pipe where a file should be: it may never end, or block."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "it is a device or a pipe, not a file", os.fspath(path))

    def __str__(self) -> str:
        return str(self.strerror)


@overload
def open_regular(path: Path, mode: Literal["rb"] = ...) -> BufferedReader: ...
@overload
def open_regular(path: Path, mode: Literal["ab"]) -> BufferedWriter: ...
@overload
def open_regular(path: Path, mode: Literal["r+b"]) -> BufferedRandom: ...
def open_regular(path: Path, mode: str = "rb") -> BinaryIO:
    """Open a file for reading or writing, unless it is a device or a pipe; it never blocks.

    Raises
    ------
    OSError
        If it is one (`SpecialFile`), a folder, or cannot be opened.
    """

    def open_descriptor(name: str, flags: int) -> int:
        _refuse_special(path)
        # A pipe that took the place meanwhile must not block, either.
        descriptor = os.open(name, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
        if _is_special(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SpecialFile(path)
        return descriptor

    return cast(BinaryIO, open(path, mode, opener=open_descriptor))


def _refuse_special(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if _is_special(path.stat().st_mode):
            raise SpecialFile(path)


def _is_special(mode: int) -> bool:
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def replace(part: Path, path: Path) -> None:
    """Give a complete file the name `path`, in place of the file that has it.

    Raises
    ------
    OSError
        If a folder, a device or a pipe has the name, or the folder cannot be written.
    """
    _refuse_special(path)
    part.replace(path)


@contextlib.contextmanager
def open_replacement(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` when it is complete, and only then.

    Until then the file has another name: readers of `path` see either the old file or the new
    one, and if two writers meet, one of them wins. The folder must exist.

    Raises
    ------
    OSError
        If the file cannot be written, or `path` is a device or a pipe.
    """
    _refuse_special(path)
    with open_part(path.parent) as (part, file):
        yield file
        file.close()  # Windows renames closed files only
        replace(part, path)


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
        part.replace(path)
    return True


@contextlib.contextmanager
def wrap_write_errors(place: Path) -> Iterator[None]:
    """Turn an ``OSError`` raised in the block into an error that names the file or folder.

    Raises
    ------
    OutputError
        If the block raises an ``OSError``; a `DiskFull` if no room is left.
    """
    try:
        yield
    except OSError as error:
        reason = tell_reason(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{place}: cannot be written ({reason}); free some space") from error
        if isinstance(error, FileExistsError | NotADirectoryError):
            file = next((path for path in (place, *place.parents) if path.is_file()), None)
            reason = f"{file} is a file, not a folder" if file else reason
        raise OutputError(f"{place}: cannot be written ({reason}); give another place") from error
