"""The cache folder follows the platform, and facts come back for their key alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from onnxplain.cache import get_cache_dir, recall, recall_parsed, remember
from onnxplain.core.errors import OutputError


def test_environment_variable_overrides_the_platform(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "here"))
    assert get_cache_dir() == tmp_path / "here"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="XDG is for other platforms")
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


def test_unknown_home_raises_an_error_but_does_not_stop_remembering(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(OutputError, match=r"no folder for the cache.*set ONNXPLAIN_CACHE"):
        get_cache_dir()
    remember("facts", ["key"], {"a": 1})
    assert recall("facts", ["key"]) is None


def test_facts_come_back_for_their_key_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path))
    remember("speed", ("a", "b"), {"size": 3})
    assert recall("speed", ("a", "b")) == {"size": 3}
    assert recall("speed", ("a", "c")) is None
    assert recall("speed", ("a\nb",)) is None  # the same text once the key is joined
    assert recall("other", ("a", "b")) is None
    (path,) = (tmp_path / "speed").iterdir()
    path.write_bytes(b"\xff damaged")
    assert recall("speed", ("a", "b")) is None


def test_changed_entry_is_ignored_though_its_values_are_possible(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path))
    remember("speed", ("a",), {"size": 3})
    (path,) = (tmp_path / "speed").iterdir()
    path.write_text(path.read_text().replace("3,", "4,"))
    assert recall("speed", ("a",)) is None
    assert f"{path}: is not what onnxplain stored" in caplog.text


def test_entry_with_the_right_key_and_wrong_content_is_ignored_with_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path))

    def parse(facts: Mapping[str, Any]) -> int:
        return int(facts["size"])

    assert recall_parsed("speed", ("a",), parse) is None
    remember("speed", ("a",), {"size": 3})
    assert recall_parsed("speed", ("a",), parse) == 3
    assert not caplog.records
    for wrong in ({}, {"size": "many"}, {"size": [[]]}):
        remember("speed", ("a",), wrong)
        assert recall_parsed("speed", ("a",), parse) is None
        assert str(tmp_path) in caplog.records[-1].getMessage()
    (path,) = (tmp_path / "speed").iterdir()
    for content in (100_000 * "[", '{"key": ["a"], "size": 1e400}'):
        path.write_text(content)
        assert recall_parsed("speed", ("a",), parse) is None
