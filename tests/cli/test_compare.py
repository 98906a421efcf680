"""``onnxplain compare``: two heatmaps from files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import scipy.stats
from skimage.metrics import structural_similarity

import onnxplain
from onnxplain import Box
from tests.cli.conftest import Run
from tests.helpers import models
from tests.helpers.explanations import make_explanation


@pytest.fixture
def maps(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(64, 64)).astype(np.float32)
    paths = []
    for name, heatmap in (("a", first), ("b", first + rng.normal(size=(64, 64))), ("c", first * 3)):
        paths.append(folder / f"{name}.npy")
        np.save(paths[-1], heatmap)
    return paths


def test_similarities_are_those_of_scipy_and_scikit_image(run: Run, maps: list[Path]):
    result = run("compare", *maps[:2], "--json")
    assert result.exit_code == 0, result.stderr
    similarity = json.loads(result.stdout)
    first, second = (np.load(path).astype(np.float64) for path in maps[:2])
    first, second = first / np.abs(first).max(), second / np.abs(second).max()
    assert similarity["spearman"] == pytest.approx(
        scipy.stats.spearmanr(first, second, axis=None)[0]
    )
    expected = structural_similarity(first, second, data_range=2, win_size=5)
    assert similarity["ssim"] == pytest.approx(expected)
    assert set(similarity) == {"ssim", "hog", "spearman"}


def test_scale_matters_only_with_no_scale(run: Run, maps: list[Path]):
    lines = run("compare", maps[0], maps[2]).stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["1.0000"] * 3
    raw = json.loads(run("compare", maps[0], maps[2], "--no-scale", "--json").stdout)
    assert raw["ssim"] < 0.9
    assert raw["spearman"] == pytest.approx(1)


def test_explanations_are_compared_by_their_heatmaps(
    run: Run, own_cache: None, photo: Path, folder: Path
):
    onnx.save(models.additive(models.weights((48, 48))), "large.onnx")
    few = ("--method", "sp", "--patch", 16, "--stride", 8, "--batch-size", 8, "--json")
    result = run("explain", photo, "-m", "large.onnx", "--range", "0,1", *few)
    heatmap = json.loads(result.stdout)["heatmap"]
    np.save("same.npy", onnxplain.load_explanation(heatmap).heatmap)
    lines = run("compare", heatmap, "same.npy").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["1.0000"] * 3


def test_maps_of_other_parts_of_the_photo_are_not_compared(run: Run, folder: Path):
    whole = make_explanation()
    whole.save("whole.npz")
    replace(whole, window=Box(0, 10, 40, 50)).save("middle.npz")
    replace(whole, window=Box(0, 0, 40, 59)).save("almost.npz")
    assert run("compare", "whole.npz", "almost.npz").exit_code == 0
    result = run("compare", "whole.npz", "middle.npz")
    assert result.exit_code == 2
    assert "rows 0 to 100 % and columns 16.7 to 83.3 %" in " ".join(result.stderr.split())
    for name in ("whole", "middle"):
        np.save(f"{name}.npy", onnxplain.load_explanation(f"{name}.npz").full_heatmap)
    lines = run("compare", "whole.npy", "middle.npy").stdout.splitlines()
    assert float(lines[0].split()[1]) < 0.9


def test_constant_map_is_undefined(run: Run, maps: list[Path], folder: Path):
    np.save(folder / "flat.npy", np.ones((64, 64)))
    assert "spearman  undefined" in run("compare", maps[0], "flat.npy").stdout
    assert json.loads(run("compare", maps[0], "flat.npy", "--json").stdout)["spearman"] is None


def test_file_that_is_not_a_heatmap_is_an_error(run: Run, maps: list[Path], folder: Path):
    (folder / "bad.npy").write_text("x")
    (folder / "bad.npz").write_text("x")
    for other in ("bad.npy", "bad.npz", "none.npy", ".", ".."):
        result = run("compare", maps[0], other)
        assert result.exit_code == 1
        assert f"Error: {other}: " in result.stderr
    np.save(folder / "small.npy", np.ones((8, 8)))
    assert run("compare", maps[0], "small.npy").exit_code == 2
