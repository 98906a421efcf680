"""Rows of results in JSON Lines: appended as they are done, found again by their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from onnxplain.core.errors import OutputError
from onnxplain.core.files import open_replacement, wrap_write_errors

Row: TypeAlias = dict[str, Any]

KEY_LENGTH = 32  # hexadecimal digits: 128 bits

_HEAD = b'{"key": "'  # how every row that is written here begins


def key_of(identity: Mapping[str, Any]) -> str:
    """A name for a piece of work that is the same wherever it is done.

    Parameters
    ----------
    identity : mapping
        All that the result depends on, which JSON can hold.

    Examples
    --------
    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(identity, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


class RowFile:
    """A file of rows to which this process alone appends.

    Parameters
    ----------
    path : path
        Is made if it is not there. A last row that was cut off when its writer was killed
        is removed.

    Attributes
    ----------
    done : dict
        By key the ``status`` of each row in the file; the last of those of one key.

    Raises
    ------
    OutputError
        If the file cannot be read or written, or holds what is no row; it is then left as
        it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with wrap_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        self.done: dict[str, str] = {row["key"]: row["status"] for row in read_rows(path)}
        with wrap_write_errors(path):
            _end_line(path)

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows; when this returns, a killed process does not lose them."""
        rows = list(rows)
        text = b"".join(map(_line, rows))
        with wrap_write_errors(self.path), self.path.open("ab") as file:
            file.write(text)
        self.done.update((row["key"], row["status"]) for row in rows)


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file in order, one at a time; a last row that was cut off is left out.

    Raises
    ------
    OutputError
        If the file cannot be read, or another line is no row.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                row = _parsed(line)
                if row is not None:
                    yield row
                elif not _is_cut_off(line):
                    raise OutputError(
                        f"{path}: line {number} is no row of an evaluation; remove the line, or "
                        f"give another file"
                    )
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error


def merge_rows(paths: Iterable[Path], output: Path) -> int:
    """Write the rows of several files into one, each key once; how many there are.

    What the one holds already is among them. Of a key whose work failed in one file and was
    done in another, the done row is kept.

    Raises
    ------
    OutputError
        If a file cannot be read or written.
    """
    paths = list(paths)
    if output.exists():
        paths.insert(0, output)
    done = {row["key"] for row in _all(paths) if row["status"] != "error"}
    written: set[str] = set()
    with wrap_write_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with open_replacement(output) as file:
            for row in _all(paths):
                key = row["key"]
                if key in written or (row["status"] == "error" and key in done):
                    continue
                written.add(key)
                file.write(_line(row))
    return len(written)


def _all(paths: Iterable[Path]) -> Iterator[Row]:
    for path in paths:
        yield from read_rows(path)


def _line(row: Row) -> bytes:
    return f"{json.dumps(row, allow_nan=False)}\n".encode()


def _parsed(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    is_row = isinstance(row, dict) and all(
        isinstance(row.get(name), str) for name in ("key", "status")
    )
    return row if is_row else None


def _is_cut_off(line: bytes) -> bool:
    """Whether it is the beginning of a row, as a writer leaves it that is killed.

    What anybody else wrote need not end with a newline either, and is not ours to remove.
    """
    if not (line.startswith(_HEAD) or _HEAD.startswith(line)):
        return False
    try:
        json.loads(line)
    except ValueError:
        return not line.endswith(b"\n")
    return False


def _end_line(path: Path) -> None:
    """End the last line of a file of rows: a whole row by a newline, another one by removing it."""
    start = _whole(path)
    with path.open("r+b") as file:
        file.seek(start)
        last = file.read()
        if last and _parsed(last) is None:
            file.truncate(start)
        elif last:
            file.write(b"\n")


def _whole(path: Path) -> int:
    """Bytes up to the end of the last whole line."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while end > 0:
            start = max(end - 65536, 0)
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            if place >= 0:
                return start + place + 1
            end = start
    return 0
