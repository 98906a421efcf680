"""Heatmaps that are kept between runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import onnxplain
from onnxplain.study.dataset import Item
from onnxplain.study.keeper import Keeper
from tests.helpers.nets import Net
from tests.study.conftest import METRICS, build_plan, index_rows, run_steps


def test_method_does_not_run_again_for_kept_heatmaps(net: Net, items: list[Item], tmp_path: Path):
    path, maps = tmp_path / "rows.jsonl", tmp_path / "maps"
    run_steps(net, items, path, build_plan(), heatmaps=maps)
    assert len(list(maps.glob("*.npy"))) == 10
    heatmap = onnxplain.explain(
        net, items[2].path, onnxplain.SP(patch=4, stride=4), target=1
    ).heatmap
    (kept,) = maps.glob("2-sp-*.npy")
    assert np.array_equal(np.load(kept), heatmap)
    net.calls.clear()
    more = build_plan(metrics=(*METRICS, "insertion:step=64", "pointing"))
    run_steps(net, items, path, more, heatmaps=maps)
    # Each image is scored once, and so are the five points of ten insertion curves.
    assert sum(net.calls) == 5 + 10 * 5
    other = tmp_path / "other.jsonl"
    run_steps(net, items, other, more)
    assert index_rows(other) == index_rows(path)


def test_damaged_heatmap_is_made_again(net: Net, items: list[Item], tmp_path: Path):
    maps = tmp_path / "maps"
    run_steps(net, items, tmp_path / "a.jsonl", build_plan(), heatmaps=maps)
    good = {path: path.read_bytes() for path in maps.iterdir()}
    for path in good:
        path.write_bytes(good[path][:200])
    run_steps(net, items, tmp_path / "b.jsonl", build_plan(), heatmaps=maps)
    assert index_rows(tmp_path / "b.jsonl") == index_rows(tmp_path / "a.jsonl")
    assert {path: path.read_bytes() for path in maps.iterdir()} == good


def test_heatmap_is_found_as_it_was_kept(tmp_path: Path):
    keeper = Keeper(tmp_path / "maps")
    heatmap = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    assert keeper.find("a", (4, 5)) is None
    keeper.keep("a", heatmap)
    kept = keeper.find("a", (4, 5))
    assert kept is not None
    assert np.array_equal(kept, heatmap)
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["a.npy"]


def test_heatmap_of_another_size_or_type_is_not_found(tmp_path: Path):
    keeper = Keeper(tmp_path)
    keeper.keep("a", np.ones((4, 5), np.float32))
    assert keeper.find("a", (5, 4)) is None
    np.save(tmp_path / "a.npy", np.ones((4, 5)))
    assert keeper.find("a", (4, 5)) is None
