"""A lock is held by one at a time, and is no obstacle where there are none."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from onnxplain.core import locks
from onnxplain.core.locks import FileLocked, lock_file


def test_lock_is_held_by_one_and_the_file_stays_readable(tmp_path: Path):
    path = tmp_path / "a"
    path.write_text("x")
    with lock_file(path):
        with pytest.raises(FileLocked), lock_file(path):
            pass
        with path.open("a") as file:
            file.write("y")
        assert path.read_text() == "xy"
    with lock_file(path):
        pass


def test_file_system_without_locks_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_lock", refuse)
    with lock_file(tmp_path / "a"), lock_file(tmp_path / "a"):
        pass


def test_file_that_cannot_be_opened_is_an_error_of_the_system(tmp_path: Path):
    with pytest.raises(FileNotFoundError), lock_file(tmp_path / "none" / "a"):
        pass
