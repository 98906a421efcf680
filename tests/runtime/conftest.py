"""Measurements of tests are short, and stay out of the user's cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxplain.runtime import tuning


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(tuning, "SECONDS", 0.005)
    monkeypatch.setattr(tuning, "AGREEMENT", 0.0)  # of such short rounds nothing can be expected


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder that the test may look into."""
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
