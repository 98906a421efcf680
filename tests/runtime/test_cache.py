"""The cache folder follows the platform, and files in it are whole or absent."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from onnxplain.cache import get_cache_dir, recall, remember
from onnxplain.core.errors import OutputError
from onnxplain.core.files import wrap_write_errors, write_atomic


def test_variable_overrides_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "here"))
    assert get_cache_dir() == tmp_path / "here"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the XDG rule is for others")
@pytest.mark.parametrize(
    ("given", "expected"),
    [("/x/cache", Path("/x/cache/onnxplain")), ("relative", None), (None, None)],
)
def test_xdg_folder_is_used_if_absolute(
    given: str | None, expected: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ONNXPLAIN_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    if given is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert get_cache_dir() == (expected or Path("/home/someone/.cache/onnxplain"))


def test_home_that_is_not_known_is_told_and_costs_the_memory_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(OutputError, match=r"no folder for the cache.*set ONNXPLAIN_CACHE"):
        get_cache_dir()
    remember("facts", ["key"], {"a": 1})
    assert recall("facts", ["key"]) is None


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


def test_what_cannot_be_written_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "a.json"
    with (
        pytest.raises(OutputError, match=r"a\.json: cannot be written .*give another place"),
        wrap_write_errors(place),
    ):
        write_atomic(place, b"new")


@pytest.mark.skipif(sys.platform == "win32", reason="has no umask")
def test_files_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomic(tmp_path / "a.json", b"first")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    write_atomic(tmp_path / ("n" * 255), b"first")
    assert os.listdir(tmp_path) == ["n" * 255]


def test_facts_come_back_for_their_key_alone(cache: Path) -> None:
    remember("speed", ("a", "b"), {"size": 3})
    assert recall("speed", ("a", "b")) == {"size": 3}
    assert recall("speed", ("a", "c")) is None
    assert recall("speed", ("a\nb",)) is None  # the same text once the key is joined
    assert recall("other", ("a", "b")) is None
    (kept,) = (cache / "speed").iterdir()
    kept.write_bytes(b"\xff damaged")
    assert recall("speed", ("a", "b")) is None
