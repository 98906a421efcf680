"""Explanations and an evaluation of small photos by a small classifier, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import onnxplain
from onnxplain.core.data import Images, Scores

SIZE = (32, 32)
NAMES = ("red, crimson", "other")


def score_redness(images: Images) -> Scores:
    """Score how red the left half of each image is."""
    red = images[:, :, : SIZE[1] // 2, 0].mean(axis=(1, 2))
    return np.stack([red, 1 - red], axis=1)


@pytest.fixture(scope="session")
def classifier() -> onnxplain.runtime.OnnxClassifier:
    return onnxplain.from_callable(score_redness, size=SIZE, class_names=NAMES)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the class `red`, with three photos wider than they are high."""
    pytest.importorskip("jinja2")
    folder = tmp_path_factory.mktemp("photos")
    (folder / "red").mkdir()
    y, x = np.mgrid[:48, :64] / 64
    for i, name in enumerate(("dawn", "noon", "dusk")):
        red = np.clip(1 - np.hypot(y - 0.4, x - 0.2 - 0.1 * i), 0, 1) * 0.3 + 0.7
        rgb = np.stack([red, 0.3 * y, np.full_like(y, 0.2)], axis=-1)
        PIL.Image.fromarray(np.rint(rgb * 255).astype(np.uint8)).save(
            folder / "red" / f"{name}.png"
        )
    return folder


@pytest.fixture(scope="session")
def explained(classifier, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with explanations of two photos by three methods."""
    folder = tmp_path_factory.mktemp("explained")
    for name in ("dawn", "noon"):
        for method in (
            onnxplain.SP(patch=8, stride=4),
            onnxplain.RISE(n_masks=60, grid=4),
            onnxplain.MP2(grid=8, gain="difference", chance=0.4),
        ):
            onnxplain.explain(classifier, photos / "red" / f"{name}.png", method).save(folder)
    return folder


@pytest.fixture(scope="session")
def study(classifier, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> onnxplain.Study:
    """An evaluation of two methods by two curves, with its heatmaps below its rows."""
    folder = tmp_path_factory.mktemp("study")
    return onnxplain.evaluate(
        photos,
        models=classifier,
        methods=["sp:patch=8,stride=4", "random"],
        metrics=["deletion:step=64", "insertion:step=64"],
        output=folder,
        keep_heatmaps=folder / "heatmaps",
    )
