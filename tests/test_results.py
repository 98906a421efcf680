"""Explanations are written to files and read back."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxplain import RISE, explain, from_callable
from onnxplain.core.data import Box, Meaning
from onnxplain.core.errors import OutputError
from onnxplain.image import read_image
from onnxplain.results import (
    Explanation,
    check_folder,
    describe_doubt,
    load_explanation,
    open_folder,
)

PROVENANCE = {"classifier": {"sha256": "ab"}, "pixels_sha256": "cd", "image_size": [20, 30]}


@pytest.fixture
def explanation() -> Explanation:
    rng = np.random.default_rng(0)
    return Explanation(
        image="photos/coffee.jpg",
        target=967,
        target_name="espresso, strong coffee",
        score=0.9375,
        heatmap=rng.random((8, 8), np.float32),
        method="sp",
        fill="blur",
        parameters={"patch": 3},
        fill_parameters={"sigma": 2.0},
        seed=4,
        evaluations=10,
        seconds=0.5,
        provenance=PROVENANCE,
        coarse=rng.random((2, 2), np.float32),
        details={"note": "ünïcode"},
        window=Box(0, 5, 20, 25),
        photo=rng.integers(0, 256, (20, 30, 3), np.uint8),
    )


def test_saved_explanation_is_read_back(explanation: Explanation, tmp_path: Path):
    loaded = load_explanation(explanation.save(tmp_path).heatmap)
    assert loaded.record() == explanation.record()
    assert loaded.window == explanation.window
    assert loaded.order is None
    for name in ("heatmap", "full_heatmap", "coarse"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(explanation, name))
        assert getattr(loaded, name).dtype == np.float32


def test_overlay_needs_no_photo_again(explanation: Explanation, tmp_path: Path):
    smooth = np.linspace(0, 255, 20 * 30 * 3).reshape(20, 30, 3).astype(np.uint8)
    explanation = replace(explanation, photo=smooth)
    loaded = load_explanation(explanation.save(tmp_path).heatmap)
    difference = loaded.overlay().astype(float) - explanation.overlay().astype(float)
    assert np.abs(difference).mean() < 1  # the photo was kept as a JPEG
    np.testing.assert_array_equal(loaded.overlay(smooth), explanation.overlay())
    assert loaded.photo.shape == (20, 30, 3)
    with pytest.raises(ValueError, match=r"without its photo; give the photo, as overlay\(photo\)"):
        replace(explanation, photo=None).overlay()


def test_files_of_the_first_format_are_read(explanation: Explanation, tmp_path: Path):
    path = replace(explanation, photo=None).save(tmp_path).heatmap
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["record"] = np.array(str(arrays["record"]).replace('"format": 2', '"format": 1'))
    np.savez(path, **arrays)
    assert load_explanation(path).photo is None


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
def test_a_path_of_a_file_is_that_file(explanation: Explanation, tmp_path: Path, suffix: str):
    path = tmp_path / "new" / f"espresso{suffix}"
    saved = explanation.save(path)
    assert explanation.save(str(path)) == saved  # replaced
    assert list(path.parent.iterdir()) == [path] == [file for file in saved if file]
    if suffix == ".png":
        np.testing.assert_array_equal(
            np.rint(read_image(path) * 255).astype(np.uint8), explanation.overlay()
        )
    elif suffix == ".npz":
        assert load_explanation(path).record() == explanation.record()
    else:
        assert json.loads(path.read_text()) == explanation.record()


def test_other_pictures_are_refused_and_a_folder_may_have_any_name(
    explanation: Explanation, tmp_path: Path
):
    with pytest.raises(ValueError, match=r"overlays are written as \.png"):
        explanation.save(tmp_path / "espresso.jpg")
    (tmp_path / "photos.png").mkdir()
    assert explanation.save(tmp_path / "photos.png").heatmap.parent == tmp_path / "photos.png"


def test_short_text_represents_an_explanation(explanation: Explanation):
    assert repr(explanation) == (
        "Explanation('photos/coffee.jpg': espresso, strong coffee (967) 0.938, sp with blur, "
        "10 evaluations)"
    )


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


def test_npz_needs_no_pickle_and_holds_the_record(explanation: Explanation, tmp_path: Path):
    saved = explanation.save(tmp_path)
    with np.load(saved.heatmap, allow_pickle=False) as stored:
        record = json.loads(str(stored["record"]))
    assert record == json.loads(saved.record.read_text())
    assert record["provenance"]["classifier"]["sha256"] == "ab"


def test_overlay_is_a_picture_at_least_as_large_as_the_photo(
    explanation: Explanation, tmp_path: Path
):
    saved = explanation.save(tmp_path)
    assert saved.overlay is not None
    rows, columns, channels = read_image(saved.overlay).shape
    assert channels == 3
    assert rows >= 20
    assert columns >= 30


def test_saving_again_replaces_the_files(explanation: Explanation, tmp_path: Path):
    first = explanation.save(tmp_path)
    assert replace(explanation, seconds=9.0).save(tmp_path) == first
    assert json.loads(first.record.read_text())["seconds"] == 9.0


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


def test_file_in_place_of_the_folder_is_an_error(explanation: Explanation, tmp_path: Path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=r"out: cannot be written .*give another place"):
        explanation.save(tmp_path / "out")
    with pytest.raises(OutputError, match="cannot be written"):
        check_folder(tmp_path / "out" / "deeper")


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


def test_failure_while_writing_leaves_no_file(explanation: Explanation, tmp_path: Path):
    unwritable = replace(explanation, details={"bad": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        unwritable.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def truncate(path: Path, good: bytes) -> None:
    path.write_bytes(good[: len(good) // 2])


def write_pickle(path: Path, good: bytes) -> None:
    np.savez(path, heatmap=np.array([{}], dtype=object), record=np.array("{}"), allow_pickle=True)


def write_foreign_npz(path: Path, good: bytes) -> None:
    np.savez(path, anything=np.zeros(3))


def write_newer_format(path: Path, good: bytes) -> None:
    np.savez(path, record=np.array(json.dumps({"format": 99})))


def write_text(path: Path, good: bytes) -> None:
    path.write_text("hello")


def write_zip(path: Path, good: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("heatmap.npy", b"junk")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (truncate, "is not a complete explanation"),
        (write_pickle, "is not a complete explanation"),
        (write_foreign_npz, "is not a complete explanation"),
        (write_newer_format, "has format 99, but this version reads format 2"),
        (write_text, "is not a complete explanation"),
        (write_zip, "is not a complete explanation"),
    ],
)
def test_damaged_files_are_refused(explanation: Explanation, tmp_path: Path, spoil, text):
    path = explanation.save(tmp_path).heatmap
    spoil(path, path.read_bytes())
    with pytest.raises(OutputError, match=text):
        load_explanation(path)


def test_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(OutputError, match="no such file"):
        load_explanation(tmp_path / "none.npz")


def test_empty_file_is_refused(tmp_path: Path):
    (tmp_path / "a.npz").write_bytes(b"")
    with pytest.raises(OutputError, match="not a complete explanation"):
        load_explanation(tmp_path / "a.npz")


def test_long_names_are_cut_to_what_file_systems_allow(explanation: Explanation, tmp_path: Path):
    long = replace(explanation, image=60 * "\U0001f600" + ".png", target_name=60 * "\u5b57")
    assert load_explanation(long.save(tmp_path).heatmap).image == long.image


def test_file_that_is_not_an_npz_is_refused(explanation: Explanation, tmp_path: Path):
    record = explanation.save(tmp_path).record
    with pytest.raises(OutputError, match=r"json: is not an \.npz; give the \.npz of"):
        load_explanation(record)


def test_repr_of_an_explanation_is_short(explanation: Explanation):
    assert len(repr(explanation)) < 600


def test_explanation_that_expands_far_beyond_its_size_is_refused(
    explanation: Explanation, tmp_path: Path
):
    path = explanation.save(tmp_path).heatmap
    text = np.array(json.dumps(explanation.record()))
    np.savez_compressed(path, record=text, heatmap=np.zeros((4000, 4000), np.float32))
    with pytest.raises(OutputError, match="expands far beyond its size"):
        load_explanation(path)


def test_record_that_is_nested_too_deep_is_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", record=np.array(100_000 * "["))
    with pytest.raises(OutputError, match=r"a\.npz.*nested deeper"):
        load_explanation(tmp_path / "a.npz")


def test_a_map_within_its_own_noise_and_a_flat_map_are_doubted() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0.3, 0.01, (7, 7)).astype(np.float32)
    drawn = Meaning("mean probability", is_score=True, noise=0.01)
    assert "may be noise" in describe_doubt(noise, drawn)
    noise[3, 3] = 0.6
    assert describe_doubt(noise, drawn) == ""
    flat = np.linspace(3e-5, 8e-5, 49, dtype=np.float32).reshape(7, 7)
    assert "nearly flat" in describe_doubt(flat, Meaning("probability lost", is_score=True))
    assert describe_doubt(flat, Meaning("a weight")) == ""


def test_the_noise_that_rise_states_is_that_of_its_map() -> None:
    # The score is 1 or 0 by a coin for each mask: nothing in the image matters.
    def flip_coins(images: NDArray[np.float32]) -> NDArray[np.float32]:
        bits = (images.sum(axis=(1, 2, 3)) * 1e4).astype(np.int64) % 2
        return np.stack([bits, 1 - bits], axis=1).astype(np.float32)

    classifier = from_callable(flip_coins, size=(56, 56), class_names=("one", "other"))
    photo = np.random.default_rng(1).random((56, 56, 3)).astype(np.float32)
    explained = explain(classifier, photo, RISE(n_masks=2000), target=0, fill="black")
    assert explained.heatmap.std() == pytest.approx(explained.meaning.noise, rel=0.6)
    assert "may be noise" in describe_doubt(explained.heatmap, explained.meaning)


def test_a_notebook_shows_the_figure_and_says_what_it_is(explanation: Explanation):
    png, about = explanation._repr_png_()
    shown = read_image(png)
    drawn = explanation.overlay(size=320)
    np.testing.assert_array_equal(np.rint(shown * 255), drawn)
    assert about["alt"].startswith("espresso · class 967 · probability 0.938, coffee.jpg · sp")


def test_a_notebook_shows_the_map_of_an_explanation_without_its_photo(explanation: Explanation):
    png, _ = replace(explanation, photo=None)._repr_png_()
    assert read_image(png).shape[1] < explanation.overlay(size=320).shape[1]


def test_a_picture_of_another_size_is_not_drawn_on(explanation: Explanation):
    with pytest.raises(ValueError, match=r"has size \(20, 30\), the picture to draw on \(9, 9\)"):
        explanation.overlay(np.zeros((9, 9, 3), np.uint8))
