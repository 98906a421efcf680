"""Files are replaced whole or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

import pytest

from onnxplain.core.errors import DiskFull, OutputError
from onnxplain.core.files import (
    SpecialFile,
    check_ending,
    describe_missing,
    open_regular,
    open_replacement,
    wrap_write_errors,
    write_atomic,
)


def test_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.json"
    write_atomic(path, b"first")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert os.listdir(path.parent) == ["a.json"]


def test_failed_write_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"old")

    def refuse(*_: object) -> Path:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="no space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_error_inside_the_block_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def write_half() -> None:
        with open_replacement(path) as file:
            file.write(b"half of the new")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_readers_see_the_old_file_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with open_replacement(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_write_error_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "a.json"
    with (
        pytest.raises(OutputError, match=r"a\.json: cannot be written .*give another place"),
        wrap_write_errors(place),
    ):
        write_atomic(place, b"new")


def test_full_disk_is_an_error_of_its_own(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with (
        pytest.raises(DiskFull, match=r"full: cannot be written \(No space left .*free some space"),
        wrap_write_errors(full),
    ):
        full.write_bytes(b"new")


@pytest.mark.skipif(sys.platform == "win32", reason="has no umask")
def test_files_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomic(tmp_path / "a.json", b"first")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_name_of_maximum_length_can_be_written(tmp_path: Path) -> None:
    write_atomic(tmp_path / ("n" * 255), b"first")
    assert os.listdir(tmp_path) == ["n" * 255]


@pytest.fixture
def special(tmp_path: Path) -> list[Path]:
    """Pipes and devices, which block or never end when they are opened or read."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with names there")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    return [tmp_path / "pipe", tmp_path / "zero"]


@pytest.mark.parametrize("mode", ["rb", "ab", "r+b"])
def test_devices_and_pipes_are_not_opened(special: list[Path], mode: Literal["rb"]) -> None:
    for path in special:
        with pytest.raises(SpecialFile, match=r"^it is a device or a pipe, not a file$"):
            open_regular(path, mode)
    with pytest.raises(IsADirectoryError):
        open_regular(special[0].parent, mode)


def test_devices_and_pipes_are_not_replaced(special: list[Path]) -> None:
    """A file named as output must not take the place of /dev/null."""
    before = sorted(os.listdir(special[0].parent))
    for path in special:
        with pytest.raises(SpecialFile):
            write_atomic(path, b"new")
        assert not path.is_file()
    assert sorted(os.listdir(special[0].parent)) == before


@pytest.mark.parametrize("mode", ["rb", "ab", "r+b"])
def test_files_are_opened_in_the_usual_ways(tmp_path: Path, mode: Literal["rb"]) -> None:
    path = tmp_path / "a"
    if mode != "ab":
        with pytest.raises(FileNotFoundError):
            open_regular(path, mode)
        path.write_bytes(b"x")
    with open_regular(path, mode) as file:
        assert (file.readable(), file.writable()) == (mode != "ab", mode != "rb")
    assert path.exists()


def test_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("text")
    for path in (file / "a.png", file / "deeper" / "a.png"):
        with (
            pytest.raises(OutputError, match=r"notes\.txt is a file, not a folder"),
            wrap_write_errors(path),
        ):
            write_atomic(path, b"")
    assert file.read_text() == "text"


def test_ending_is_checked() -> None:
    check_ending(Path("a.PNG"), ".png", "the picture")
    with pytest.raises(ValueError, match=r"a\.jpg: the picture is a \.png; give a path"):
        check_ending(Path("a.jpg"), ".png", "the picture")


@pytest.mark.parametrize("address", ["https://host/cat.jpg", "s3://shelf/net.onnx", "FILE:///x"])
def test_an_address_is_told_from_a_path(address: str) -> None:
    assert describe_missing(Path(address)).endswith("save the file, and give its path")


@pytest.mark.parametrize("path", ["cat.jpg", "C:/cat.jpg", "a/b:/c", "top:3.jpg"])
def test_of_a_path_the_place_is_doubted(path: str) -> None:
    assert describe_missing(Path(path)) == f"{path}: no such file; check the path"
