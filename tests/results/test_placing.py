"""Every explanation gets a name of its own, whoever writes beside it."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain.results import (
    Explanation,
    check_folder,
    load_explanation,
    open_folder,
)
from tests.results.conftest import PROVENANCE


def test_files_are_named_after_image_method_and_target(explanation: Explanation, tmp_path: Path):
    saved = explanation.save(tmp_path / "new" / "folder")
    assert [path.name for path in saved if path] == [
        "coffee-sp-espresso.npz",
        "coffee-sp-espresso.json",
        "coffee-sp-espresso.png",
    ]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(
        path.name for path in saved if path
    )


@pytest.mark.parametrize(
    "change",
    [
        {"image": "photos/coffee.png"},  # the name decides random draws
        {"provenance": {**PROVENANCE, "pixels_sha256": "other"}},
        {"provenance": {**PROVENANCE, "classifier": {"sha256": "other"}}},
        {"parameters": {"patch": 5}},
        {"fill": "black"},
        {"fill_parameters": {"sigma": 3.0}},
        {"seed": 5},
        {"target": 1},
    ],
    ids=str,
)
def test_another_explanation_of_the_same_name_gets_a_number(
    explanation: Explanation, tmp_path: Path, change
):
    first = explanation.save(tmp_path)
    before = first.heatmap.read_bytes()
    other = replace(explanation, **change)
    second = other.save(tmp_path)
    assert second.heatmap.name == "coffee-sp-espresso-2.npz"
    assert other.save(tmp_path) == second
    assert first.heatmap.read_bytes() == before


def save_many(folder: Path, explanation: Explanation, seeds: list[int], barrier: Any) -> None:
    for seed in seeds:
        barrier.wait()
        filled = np.full((8, 8), seed, np.float32)
        replace(explanation, seed=seed, heatmap=filled, photo=None).save(folder)


def test_processes_that_write_into_one_folder_lose_nothing(
    explanation: Explanation, tmp_path: Path
):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    shared = [100, 101]  # questions that all of them answer
    seeds = [[*range(10 * i, 10 * i + 6), *shared] for i in range(4)]
    workers = [
        context.Process(target=save_many, args=(tmp_path, explanation, own, barrier))
        for own in seeds
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    records = {path: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert sorted(record["seed"] for record in records.values()) == sorted(
        {*itertools.chain(*seeds)}
    )
    for path, record in records.items():
        loaded = load_explanation(path.with_suffix(".npz"))
        assert loaded.seed == record["seed"]
        assert (loaded.heatmap == record["seed"]).all()
    assert len(list(tmp_path.iterdir())) == 2 * len(records)


def test_name_without_its_record_yet_belongs_to_another_process(
    explanation: Explanation, tmp_path: Path
):
    explanation.save(tmp_path).record.unlink()
    assert replace(explanation, seed=5).save(tmp_path).heatmap.stem.endswith("-2")
    assert explanation.save(tmp_path).heatmap.name == "coffee-sp-espresso.npz"


def test_names_are_taken_without_links_too(
    explanation: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*paths: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first = explanation.save(tmp_path)
    second = replace(explanation, seed=5).save(tmp_path)
    assert (load_explanation(first.heatmap).seed, load_explanation(second.heatmap).seed) == (4, 5)


def test_file_that_is_no_record_is_not_replaced(explanation: Explanation, tmp_path: Path):
    for content in ("[1, 2]", "not JSON"):
        (tmp_path / "coffee-sp-espresso.json").write_text(content)
        assert explanation.save(tmp_path).record.name == "coffee-sp-espresso-2.json"
        assert (tmp_path / "coffee-sp-espresso.json").read_text() == content


def test_class_names_that_are_no_file_names_do_no_harm(explanation: Explanation, tmp_path: Path):
    evil = replace(explanation, target_name="../../a b/c", image="x" * 300 + ".jpg")
    assert evil.save(tmp_path).heatmap.name == f"{'x' * 80}-sp-a-b-c.npz"
    nameless = replace(explanation, target_name="...")
    assert nameless.save(tmp_path).heatmap.name == "coffee-sp-967.npz"


def test_long_names_are_cut_to_what_file_systems_allow(explanation: Explanation, tmp_path: Path):
    long = replace(explanation, image=60 * "\U0001f600" + ".png", target_name=60 * "\u5b57")
    assert load_explanation(long.save(tmp_path).heatmap).image == long.image


def test_checking_a_folder_leaves_nothing_in_it(tmp_path: Path):
    check_folder(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_folder_that_was_made_for_nothing_is_removed(tmp_path: Path):
    with open_folder(tmp_path / "deep" / "out"):
        (tmp_path / "deep" / "out" / "rows.jsonl").touch()
    assert list(tmp_path.iterdir()) == []


def test_folder_that_was_there_or_holds_something_is_kept(tmp_path: Path):
    (tmp_path / "old").mkdir()
    with open_folder(tmp_path / "old"), open_folder(tmp_path / "used"):
        (tmp_path / "used" / "rows.jsonl").write_text("{}")
        (tmp_path / "used" / "empty").touch()
    names = sorted(path.name for path in tmp_path.rglob("*"))
    assert names == ["empty", "old", "rows.jsonl", "used"]
