"""The cache folder follows the platform, and facts come back for their key alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from onnxplain.cache import get_cache_dir, recall, remember
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
