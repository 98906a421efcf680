"""Rows of results in JSON Lines, appended as work is done and found again by their keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from onnxplain.core.errors import OutputError, tell_reason
from onnxplain.core.files import FileStamp, open_regular, open_replacement, wrap_write_errors
from onnxplain.core.locks import FileLocked, lock_file
from onnxplain.core.text_files import ANNOTATION_BYTES, TextError, parse_json

Row: TypeAlias = dict[str, Any]

KEY_LENGTH = 32  # hexadecimal digits: 128 bits

_HEAD = b'{"key": "'  # every row that is written here begins with it


def make_key(identity: Mapping[str, Any]) -> str:
    """Make a key for a piece of work; the same work has the same key on every machine.

    Parameters
    ----------
    identity : mapping
        Everything that the result depends on, in types that JSON can hold.

    Examples
    --------
    >>> make_key({"a": 1, "b": 2}) == make_key({"b": 2, "a": 1})
    True
    """
    text = json.dumps(identity, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


@contextmanager
def lock_rows(path: Path) -> Iterator[None]:
    """Keep other evaluations from writing to a file of rows.

    Raises
    ------
    OutputError
        If another one writes to it, or the file cannot be written.
    """
    with ExitStack() as held:
        try:
            with wrap_write_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(lock_file(path))
        except FileLocked as error:
            raise OutputError(
                f"{path}: another evaluation is writing to it; wait until it ends, or give each "
                f"a folder of its own"
            ) from error
        yield


class Store(Protocol):
    """Where rows are looked up and written."""

    done: dict[str, str]  # the status of each row, by key

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows."""
        ...


class RowFile:
    """A file of rows to which this process alone appends; see `lock_rows`.

    Parameters
    ----------
    path : path
        The file is created if it does not exist. A last row is removed if it was cut off
        when its writer was killed.

    Attributes
    ----------
    done : dict
        Maps the key of each row in the file to its ``status``; the last row of a key counts.

    Raises
    ------
    OutputError
        If the file cannot be read or written, or has a line that is not a row. The file is
        then unchanged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with wrap_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        self.done: dict[str, str] = {}
        self._keys: dict[str, list[str]] = {}  # of the rows of each image
        self._stamp = FileStamp.of(path)
        for row in read_rows(path):
            self._note(row)
        self._is_ours = self._stamp == FileStamp.of(path)  # nobody else has changed the file
        with wrap_write_errors(path):
            _end_last_line(path)
        self._stamp = FileStamp.of(path)

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows; when this returns, they are in the file even if the process is killed."""
        rows = list(rows)
        text = b"".join(map(_to_line, rows))
        self._is_ours = self._is_ours and self._stamp == FileStamp.of(self.path)
        with wrap_write_errors(self.path), open_regular(self.path, "ab") as file:
            file.write(text)
        self._stamp = FileStamp.of(self.path)
        for row in rows:
            self._note(row)

    def find_done(self, image: str) -> dict[str, str]:
        """Return the status of each row of an image, by key."""
        return {key: self.done[key] for key in self._keys.get(image, ())}

    def _note(self, row: Row) -> None:
        if row["key"] not in self.done:
            self._keys.setdefault(str(row.get("image")), []).append(row["key"])
        self.done[row["key"]] = row["status"]

    def check(self, keys: Collection[str]) -> None:
        """Check that the file holds the rows of these keys, as they were found or written.

        Raises
        ------
        OutputError
            If somebody removed or changed the file meanwhile.
        """
        if (
            self._is_ours
            and self._stamp == FileStamp.of(self.path)
            and self.done.keys() >= set(keys)
        ):
            return
        rows = read_rows(self.path) if self.path.exists() else ()
        found = {row["key"]: row["status"] for row in rows}
        n_lost = sum(found.get(key) != self.done.get(key) for key in keys)
        if n_lost:
            raise OutputError(
                f"{self.path}: {n_lost} of the {len(keys)} rows are gone: something removed or "
                f"changed the file during the evaluation; the same command does what is missing"
            )


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file in order; a last row that was cut off is left out.

    Raises
    ------
    OutputError
        If the file cannot be read, or another line is not a row.
    """
    for placed in _read_lines(path):
        yield placed.row


class _Placed(NamedTuple):
    """A row, its line, and the position at which it starts in its file."""

    row: Row
    line: bytes
    start: int


def _read_lines(path: Path) -> Iterator[_Placed]:
    """Yield the rows of a file with their lines; see `read_rows`."""
    start = 0
    try:
        with open_regular(path) as file:
            for number, line in enumerate(iter(partial(file.readline, ANNOTATION_BYTES), b""), 1):
                row = _parse_line(line)
                if row is not None:
                    yield _Placed(row, line, start)
                    start += len(line)
                elif not _is_cut_off(line):
                    raise OutputError(
                        f"{path}: line {number} is not a row of an evaluation; remove the line, "
                        f"or choose another file"
                    )
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {tell_reason(error)}") from error


def merge_rows(paths: Iterable[Path], output: Path) -> int:
    """Write the rows of several files into one, one row per key, and return their number.

    Rows that are already in the output are kept. If the work of a key failed in one file and
    succeeded in another, the row of the success is kept. Failures come last. Of the rows, only
    the keys are in memory.

    Raises
    ------
    OutputError
        If a file cannot be read or written.
    """
    paths = list(paths)
    if output.exists():
        with lock_rows(output):  # an evaluation that writes to it would lose what it adds
            paths.insert(0, output)
    written: set[str] = set()
    failed: dict[str, tuple[Path, int]] = {}  # where the first failure of each key starts
    with wrap_write_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with open_replacement(output) as file:
            for path in paths:
                for row, line, start in _read_lines(path):
                    key = row["key"]
                    if row["status"] == "error":
                        failed.setdefault(key, (path, start))
                    elif key not in written:
                        written.add(key)
                        file.write(_end_line(row, line))
            for key, (path, start) in failed.items():
                if key not in written:
                    file.write(_read_line_at(path, start))
    return len(written | failed.keys())


def _read_line_at(path: Path, start: int) -> bytes:
    with open_regular(path) as file:
        file.seek(start)
        line = file.readline(ANNOTATION_BYTES)
    return _end_line(parse_json(line), line)


def _end_line(row: Row, line: bytes) -> bytes:
    """Return the line of a row as it was, if it was written here, with an end."""
    return line.rstrip(b"\r\n") + b"\n" if line.startswith(_HEAD) else _to_line(row)


def _to_line(row: Row) -> bytes:
    return f"{json.dumps(row, allow_nan=False)}\n".encode()


def _parse_line(line: bytes) -> Row | None:
    """Return the row in a line; None if the line is not a row."""
    try:
        row = parse_json(line)
    except TextError:
        return None
    is_row = isinstance(row, dict) and all(
        isinstance(row.get(name), str) for name in ("key", "status")
    )
    return row if is_row else None


def _is_cut_off(line: bytes) -> bool:
    """Return whether a line is the beginning of a row that a killed writer left.

    Text that another program wrote may lack its last newline too, but must not be removed.
    """
    if not (line.startswith(_HEAD) or _HEAD.startswith(line)):
        return False
    try:
        json.loads(line)
    except RecursionError:
        return False
    except ValueError:
        return not line.endswith(b"\n")
    return False


def _end_last_line(path: Path) -> None:
    """Repair the last line of a file: end a whole row, or remove a row that was cut off."""
    start = _find_last_line(path)
    with open_regular(path, "r+b") as file:
        file.seek(start)
        last = file.read()
        if last and _parse_line(last) is None:
            file.truncate(start)
        elif last:
            file.write(b"\n")


def _find_last_line(path: Path) -> int:
    """Return the position at which an unfinished last line starts, or the size of the file."""
    end = path.stat().st_size
    with open_regular(path) as file:
        while end > 0:
            start = max(end - 65536, 0)
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            if place >= 0:
                return start + place + 1
            end = start
    return 0
