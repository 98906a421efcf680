"""What an evaluation found becomes maps, curves and tables; damaged or foreign rows do not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import onnxplain
from onnxplain.report.material import Material
from onnxplain.report.write import gather
from onnxplain.study.rows import Row, merge_rows, read_rows


@pytest.fixture
def folder(study: onnxplain.Study, tmp_path: Path) -> Path:
    """A copy of the evaluation that a test may damage."""
    shutil.copytree(study.output, tmp_path / "study")
    return tmp_path / "study"


def change_rows(folder: Path, change: Callable[[Row], object]) -> None:
    rows = list(read_rows(folder / "rows.jsonl"))
    for row in rows:
        change(row)
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "rows.jsonl").write_text(text)


def list_scores(folder: Path) -> list[Row]:
    return [row for row in read_rows(folder / "rows.jsonl") if row["kind"] == "score"]


def test_maps_are_those_that_were_judged(folder: Path, photos: Path, classifier):
    material = gather([folder], 50, photos)
    assert not material.broken
    assert len(material.maps) == 3 * 2
    for one in material.maps:
        photo = material.photos[one.photo]
        if one.settings["method"] == "sp":
            explanation = onnxplain.explain(
                classifier,
                photos / "red" / photo.name,
                onnxplain.SP(patch=8, stride=4),
                target=one.target,
            )
            np.testing.assert_allclose(one.heatmap, explanation.heatmap, atol=1e-6)
            assert one.window == explanation.window
            assert one.score == pytest.approx(explanation.score)
            np.testing.assert_array_equal(photo.pixels, explanation.photo)
        rows = [
            row
            for row in list_scores(folder)
            if (Path(row["image"]).name, row["method"]) == (photo.name, one.settings["method"])
        ]
        assert [value.number for value in one.values] == [row["value"] for row in rows]
        assert [walk.scores for walk in one.walks] == [
            tuple(row["details"]["curve"]) for row in rows
        ]


def test_mean_curves_are_means(folder: Path):
    (part,) = gather([folder], 1).studies  # of all photos, also of those that are not shown
    for label, walk in zip(part.curve_labels, part.curves, strict=True):
        metric = walk.title.split(":")[0]
        curves = [
            row["details"]["curve"]
            for row in list_scores(folder)
            if (row["method"], row["metric"]) == (label, metric)
        ]
        assert len(curves) == 3
        np.testing.assert_allclose(walk.scores, np.mean(curves, axis=0))


def test_rows_of_earlier_plans_are_not_shown(folder: Path, photos: Path, classifier):
    """They stay in the file; the tables are those of the last plan."""
    fewer = onnxplain.evaluate(
        photos, models=classifier, methods="random", metrics="deletion", output=folder, seed=3
    )
    shown, own = gather([folder], 50), gather([fewer], 50)
    assert shown.studies[0].verdicts == own.studies[0].verdicts
    (curve,), (expected,) = shown.studies[0].curves, own.studies[0].curves
    assert (curve.title, curve.scores) == (expected.title, expected.scores)
    assert shown.studies[0].curve_labels == ("random",)
    assert [one.settings for one in shown.maps] == [one.settings for one in own.maps]


@pytest.mark.parametrize("limit", [50, 2])
def test_photos_come_in_the_order_of_the_data_set(
    folder: Path, study: onnxplain.Study, photos: Path, limit: int
):
    """Rows come as work ends, and those of a merged study one part after the other."""
    whole = gather([folder], limit, photos)
    names = [photo.name for photo in whole.photos.values()]
    assert names == ["dawn.png", "dusk.png", "noon.png"][:limit]
    lines = (study.output / "rows.jsonl").read_text().splitlines(keepends=True)
    for file, names in (("late.jsonl", ("dusk",)), ("early.jsonl", ("noon", "dawn"))):
        part = [line for name in names for line in lines if f"{name}.png" in line]
        (folder / file).write_text("".join(reversed(part)))
    (folder / "rows.jsonl").unlink()
    merge_rows([folder / "late.jsonl", folder / "early.jsonl"], folder / "rows.jsonl")
    merged = gather([folder], limit, photos)
    assert list(merged.photos) == list(whole.photos)
    assert len(merged.maps) == 2 * min(limit, 3)
    assert merged.left_out == whole.left_out


def test_tables_are_made_where_there_are_none(folder: Path, study: onnxplain.Study):
    for path in [*folder.glob("*.csv"), folder / "keys.txt"]:
        path.unlink()
    (part,) = gather([folder], 50).studies
    assert part.means == study.tables["means"]
    assert part.pairs == study.tables["pairs"]


def test_limits_are_told_of_files_as_of_a_study(folder: Path, study: onnxplain.Study):
    assert gather([folder], 50).studies[0].limits == study.limits
    lines = [line.split(",") for line in (folder / "means.csv").read_text().splitlines()]
    place = lines[0].index("chosen on")
    lines[1][place] = "3"
    (folder / "means.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    few, *others = gather([folder], 50).studies[0].limits
    assert "chosen on 3 images" in few
    assert tuple(others) == study.limits


def test_explanation_and_its_evaluation_are_one_map(
    folder: Path, photos: Path, classifier, tmp_path: Path
):
    """The page shows the metrics of an explanation that was evaluated as well."""
    shutil.rmtree(folder / "heatmaps")
    saved = onnxplain.explain(
        classifier, photos / "red" / "dawn.png", onnxplain.SP(patch=8, stride=4), target=0
    )
    for given in ([saved, folder], [folder, saved]):
        material = gather(given, 50, photos)
        assert len(material.maps) == 3 * 2
        (whole,) = [one for one in material.maps if one.heatmap is not None]
        assert [value.metric for value in whole.values] == ["deletion", "insertion"]
        assert len(whole.walks) == 2


def test_rows_that_are_gone_are_told(folder: Path):
    """As after a copy that broke off: the tables are of more than the maps."""
    rows = folder / "rows.jsonl"
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[:-2])[:-20])
    (omission,) = gather([folder], 50).broken
    assert "3 of the 15 rows of its tables are gone" in omission.reason
    (folder / "keys.txt").unlink()
    assert not gather([folder], 50).broken


def test_photos_are_taken_from_their_folder_alone(folder: Path, photos: Path, tmp_path: Path):
    shutil.copy(photos / "red" / "noon.png", tmp_path / "secret.png")
    change_rows(folder, lambda row: row.update(image=f"../{tmp_path.name}/secret.png"))
    material = gather([folder], 50, photos)
    assert all(photo.pixels is None for photo in material.photos.values())
    assert all("is not below" in failure.reason for failure in material.broken)
    assert material.broken


def test_photos_may_be_links(folder: Path, photos: Path, tmp_path: Path):
    """A data set is often chosen by links to the photos of a larger one."""
    linked = tmp_path / "linked"
    for photo in photos.rglob("*.png"):
        link = linked / photo.relative_to(photos)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(photo.resolve())
    material = gather([folder], 50, linked)
    assert not material.broken
    assert all(photo.pixels is not None for photo in material.photos.values())


def test_photo_that_changed_is_not_shown(folder: Path, photos: Path, tmp_path: Path):
    shutil.copytree(photos, tmp_path / "photos")
    shutil.copy(photos / "red" / "noon.png", tmp_path / "photos" / "red" / "dawn.png")
    material = gather([folder], 50, tmp_path / "photos")
    (failure,) = material.broken
    assert failure.what == "red/dawn.png"
    assert "is not the photo that was judged" in failure.reason
    assert sum(photo.pixels is None for photo in material.photos.values()) == 1


def damage_map(folder: Path) -> None:
    next((folder / "heatmaps").glob("*.npy")).write_bytes(b"\x93NUMPY")


def damage_table(folder: Path) -> None:
    (folder / "means.csv").write_text("a,b\n1,2\n")


def replace_table(folder: Path) -> None:
    (folder / "means.csv").unlink()
    (folder / "means.csv").mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_map, "is not a heatmap"),
        (damage_table, "is not the table that evaluate wrote"),
        (replace_table, "study: Is a directory"),
    ],
)
def test_damaged_file_is_named_and_the_rest_is_shown(
    folder: Path, damage: Callable[[Path], None], message: str
):
    damage(folder)
    material: Material = gather([folder], 50)
    (failure,) = material.broken
    assert message in failure.reason
    assert len(material.maps) == 6
    assert len(material.studies) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"image": 3},
        {"details": {"curve": "abc", "share": [0.0, 1.0]}},
        {"details": {"curve": [0.1], "share": [0.0, 1.0]}},
        {"window": {"top": "x"}, "photo_size": "wide"},
        {"window": 7, "photo_size": [1e9, -3]},
        {"window": {"top": 0, "left": "x", "bottom": 1, "right": 2}},
        {"window": {"top": 5, "left": 0, "bottom": 5, "right": 2}},
        {"score": "x"},
        {"value": True, "target_name": ["x"], "error": {"x": 1}},
        {"target": "first"},
        {"preprocessing": {"size": "large"}},
        {"heatmap": ["a"]},
        {"method_parameters": {"patch": {"deep": [1]}}, "seed": "x"},
        {"metric_fill": ["x"], "fill_parameters": {"sigma": "x"}},
    ],
)
def test_rows_of_strangers_end_in_a_page_or_an_error_of_ours(
    folder: Path, photos: Path, tmp_path: Path, change: dict
):
    for name in ("means.csv", "pairs.csv"):
        (folder / name).unlink()
    change_rows(folder, lambda row: row.update(change))
    page = tmp_path / "page.html"
    try:
        onnxplain.write_report(folder, page, images=photos)
    except onnxplain.OnnxplainError as error:
        said = str(error)
    else:
        said = page.read_text()
        json.loads(said.split('id="data">')[1].split("</script>")[0], parse_constant=pytest.fail)
    assert "rows.jsonl" in said
    assert page.exists() == said.startswith("<!doctype html>")
