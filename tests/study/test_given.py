"""Heatmaps that were made elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onnxplain.core.data import Case, Preprocessing
from onnxplain.engine.run import Job, collect_values
from onnxplain.fills import Black
from onnxplain.image import place_frame
from onnxplain.metrics import Deletion
from onnxplain.metrics.judging import judge
from onnxplain.study.classifier_study import Rules, study_classifier
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import make_explainers
from onnxplain.study.given import Given
from onnxplain.study.judges import make_judges
from onnxplain.study.rows import RowFile
from tests.helpers.nets import Net
from tests.study.conftest import SIZE, build_plan, fail_to_load, find_rows, reddish, save


def test_heatmaps_made_elsewhere_are_judged_and_judged_again_when_they_change(
    net: Net, items: list[Item], tmp_path: Path
):
    path, maps = tmp_path / "rows.jsonl", tmp_path / "theirs"
    maps.mkdir()
    rng = np.random.default_rng(4)
    theirs = [rng.random(SIZE) for _ in items]
    for item, heatmap in zip(items[:4], theirs, strict=False):
        np.save(maps / f"{item.path.stem}.npy", heatmap)
    study_plan = build_plan((f"given:folder={maps.name}",))
    explainers = [
        pair._replace(method=Given(str(maps))) for pair in make_explainers(study_plan, fail_to_load)
    ]

    def judge_all() -> set[str]:
        steps = study_classifier(net, items, explainers, make_judges(study_plan), RowFile(path))
        return {row["image"] for step in steps for row in step.rows}

    assert judge_all() == {item.file for item in items}
    for item, heatmap in zip(items[:4], theirs, strict=False):
        expected = judge(Deletion(step=32), net, item.path, heatmap, 1)
        (row,) = find_rows(path, image=item.file, metric="deletion")
        assert row["value"] == pytest.approx(expected.value, abs=1e-6)
    failed = find_rows(path, image="4.png", status="error")
    assert [row["metric"] for row in failed] == ["deletion", "localisation"]
    assert "4.npy: cannot be read: No such file" in failed[0]["error"]
    assert judge_all() == set()
    np.save(maps / "1.npy", theirs[0])
    np.save(maps / "4.npy", theirs[4][:8])
    assert judge_all() == {"1.png", "4.png"}
    assert "has shape (8, 16)" in find_rows(path, image="4.png", status="error")[-1]["error"]


def test_heatmaps_made_elsewhere_are_found_by_the_path_of_their_image(
    net: Net, items: list[Item], tmp_path: Path
):
    """Found by the name alone, both images would have the same heatmap."""
    rng = np.random.default_rng(4)
    files = ("x/a.png", "y/a.png", "y/b.png")
    twins = [
        replace(item, file=file, path=save(tmp_path / file, reddish(i)))
        for i, (item, file) in enumerate(zip(items, files, strict=False))
    ]
    theirs = {file: rng.random(SIZE) for file in files}
    maps = tmp_path / "theirs"
    for file in files[:2]:
        (maps / file).parent.mkdir(parents=True)
        np.save(maps / Path(file).with_suffix(".npy"), theirs[file])
    np.save(maps / "b.npy", theirs["y/b.png"])
    given = Given(str(maps))
    given.check(files)
    (explainer,) = make_explainers(build_plan(("given",)), fail_to_load)
    path = tmp_path / "rows.jsonl"
    explainers = [explainer._replace(method=given)]
    list(
        study_classifier(
            net,
            twins,
            explainers,
            make_judges(build_plan()),
            RowFile(path),
            Rules(heatmaps=tmp_path / "kept"),
        )
    )
    for item in twins:
        expected = judge(Deletion(step=32), net, item.path, theirs[item.file], 1)
        (row,) = find_rows(path, image=item.file, metric="deletion")
        assert row["value"] == pytest.approx(expected.value, abs=1e-6)


@pytest.mark.parametrize(
    "files", [("x/a.png", "y/a.png"), ("a.png", "x/a.png"), ("a.png", "a.jpg")]
)
def test_heatmap_that_several_images_would_share_is_an_error(
    tmp_path: Path, files: tuple[str, str]
):
    given = Given(str(tmp_path))
    given.check(files)  # there is no heatmap that they could share
    np.save(tmp_path / "a.npy", np.ones(SIZE))
    given.check((files[0], files[0]))  # an image with two classes
    with pytest.raises(ValueError, match=f"would be the heatmap of both {files[0]} and {files[1]}"):
        given.check(files)


def test_heatmap_of_an_image_is_read_as_it_is(tmp_path: Path, net: Net):
    heatmap = np.random.default_rng(0).random(SIZE).astype(np.float32)
    (tmp_path / "deep").mkdir()
    np.save(tmp_path / "deep" / "a.npy", heatmap)
    given = Given(str(tmp_path))
    case = Case("deep/a.jpg", np.zeros((*SIZE, 3), np.float32), 1)
    job = Job((case,), (given.flow(case, np.random.default_rng(0)),), Black(), 0)
    (attribution,) = collect_values(net, [job])
    assert np.array_equal(attribution.heatmap, heatmap)
    assert net.calls == []


def test_heatmap_of_the_photo_is_cropped_as_the_photo(net: Net, items: list[Item], tmp_path: Path):
    theirs = np.random.default_rng(3).random((20, 24))
    np.save(tmp_path / "0.npy", theirs[None])
    path = tmp_path / "rows.jsonl"
    (explainer,) = make_explainers(build_plan(("given",)), fail_to_load)
    explainers = [explainer._replace(method=Given(str(tmp_path)))]
    plan = build_plan(metrics=("deletion:step=32", "pointing"))
    list(study_classifier(net, items[:1], explainers, make_judges(plan), RowFile(path)))
    seen = place_frame((20, 24), SIZE, Preprocessing()).bring_map(theirs)
    expected = judge(Deletion(step=32), net, items[0].path, seen, 1)
    (row,) = find_rows(path, metric="deletion")
    assert row["value"] == pytest.approx(expected.value, abs=1e-6)
    (row,) = find_rows(path, metric="pointing")
    assert row["details"]["maximum"] == list(np.unravel_index(seen.argmax(), SIZE))


def test_checksum_follows_the_content_of_the_heatmap(tmp_path: Path):
    given = Given(str(tmp_path))
    assert given.sha256("a.jpg") is None
    np.save(tmp_path / "a.npy", np.ones(SIZE))
    before = given.sha256("a.jpg")
    assert before == given.sha256("deep/a.png")  # found by its name
    np.save(tmp_path / "a.npy", np.zeros(SIZE))
    assert given.sha256("a.jpg") != before


def test_missing_folder_of_heatmaps_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="nowhere: is not a folder"):
        Given(str(tmp_path / "nowhere")).check(["a.jpg"])
