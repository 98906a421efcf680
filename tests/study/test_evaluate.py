"""The function `onnxplain.evaluate`."""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import onnxplain
from onnxplain import metrics
from onnxplain.cli import main
from onnxplain.core.data import Images, Scores
from onnxplain.core.errors import ModelError, OnnxplainError
from onnxplain.study.plan import Plan, read_plan
from onnxplain.study.progress import StudyProgress
from onnxplain.study.rows import Row
from tests.helpers import models
from tests.helpers.nets import Net
from tests.study.conftest import SIZE, reddish, save

METHODS = ["sp:patch=4,stride=4", "rise:n_masks=30,grid=4"]
METRICS = ["deletion:step=32", "insertion:step=64"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Save four photos of the class ``yes``, and one of a class that no net knows."""
    for i in range(4):
        save(tmp_path / "photos" / "yes" / f"{i}.png", reddish(i))
    save(tmp_path / "photos" / "unicorn" / "x.png", reddish(9))
    return tmp_path / "photos"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Save a classifier with the classes ``no`` and ``yes``."""
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "net.onnx"
    onnx.save(models.additive(models.weights(SIZE, classes=2)), path)
    path.with_suffix(".toml").write_text('range = [0, 1]\nclass_names = ["no", "yes"]\n')
    return path


def index_rows(study: onnxplain.Study) -> dict[str, Row]:
    return {row["key"]: row for row in study.rows}


def test_names_and_values_give_the_same_rows(net: Net, photos: Path):
    named = onnxplain.evaluate(
        photos, models=net, methods=METHODS, metrics=METRICS, fills="blur:sigma=5", output=None
    )
    values = onnxplain.evaluate(
        photos,
        models=[net],
        methods=[onnxplain.SP(patch=4, stride=4), onnxplain.RISE(n_masks=30, grid=4)],
        metrics=(metrics.Deletion(step=32), metrics.Insertion(step=64)),
        fills=onnxplain.Blur(5),
        output=None,
    )
    assert index_rows(values) == index_rows(named)
    assert len(named.rows) == 4 * (1 + 2 * 2)
    assert values.tables == named.tables


def test_verb_does_what_the_command_does(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", "photos", "-m", "net.onnx:batch_size=8", "--all-images"]
    words += ["--limit", "4", "--seed", "2", "-o", "command"]
    for method in METHODS:
        words += ["--method", method]
    for metric in METRICS:
        words += ["--metric", metric]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0, shown.stderr
    study = onnxplain.evaluate(
        "photos",
        models="net.onnx:batch_size=8",
        methods=METHODS,
        metrics=METRICS,
        only_correct=False,
        limit=4,
        seed=2,
        output="verb",
    )
    assert not study.failures
    # The command also writes a page with all results.
    files = sorted({path.name for path in Path("command").iterdir()} - {"report.html"})
    assert sorted(path.name for path in study.output.iterdir()) == files
    for name in files:
        ours, theirs = (
            sorted((folder / name).read_text().splitlines())  # work may end in another order
            for folder in (study.output, Path("command"))
        )
        assert ours == theirs, name
    assert [f"Warning: {notice}" for notice in study.notices] == [
        line for line in shown.stderr.splitlines() if line.startswith("Warning")
    ]


def test_loaded_classifier_gives_the_rows_of_its_file(model: Path, photos: Path):
    asked: dict[str, Any] = {"methods": "sp:patch=8", "metrics": "deletion:step=64"}
    asked |= {"only_correct": False, "output": None}
    by_path = onnxplain.evaluate(photos, models=model, device="cpu", **asked)
    loaded = onnxplain.load(model, device="cpu", batch_size=2)
    by_value = onnxplain.evaluate(photos, models=loaded, **asked)
    assert set(index_rows(by_value)) == set(index_rows(by_path))
    for key, row in index_rows(by_path).items():
        assert index_rows(by_value)[key].get("value") == pytest.approx(row.get("value"), abs=1e-6)


def test_plan_file_and_plan_have_the_effect_of_arguments(net: Net, photos: Path, tmp_path: Path):
    path = tmp_path / "plan.toml"
    path.write_text(
        f"images = '{photos}'\nmethods = {METHODS}\nmetrics = {METRICS}\nlimit = 3\nseed = 5"
    )
    expected = onnxplain.evaluate(
        photos, models=net, methods=METHODS, metrics=METRICS, limit=2, seed=5, output=None
    )
    for plan in (path, read_plan(path)):
        study = onnxplain.evaluate(plan=plan, models=net, limit=2, output=None)
        assert index_rows(study) == index_rows(expected)
        assert study.plan.limit == 2


def test_second_call_asks_nothing_and_returns_the_same(net: Net, photos: Path, tmp_path: Path):
    arguments: dict[str, Any] = {"models": net, "methods": METHODS, "metrics": METRICS}
    first = onnxplain.evaluate(photos, output=tmp_path / "out", **arguments)
    net.calls.clear()
    second = onnxplain.evaluate(photos, output=tmp_path / "out", **arguments)
    # A classifier without a checksum is recognised by its answers to a few photos.
    assert net.calls == [1] * 4
    assert second.rows == first.rows
    narrow = onnxplain.evaluate(
        photos, output=tmp_path / "out", **{**arguments, "methods": METHODS[:1]}
    )
    assert {row.get("method") for row in narrow.rows} == {None, "sp"}
    assert {line[2] for line in narrow.tables["means"].lines} == {"sp"}


def test_temporary_folder_is_removed_with_the_study(net: Net, photos: Path):
    study = onnxplain.evaluate(
        photos, models=net, methods="random", metrics="deletion:step=64", output=None
    )
    folder = study.output
    assert (folder / "means.csv").is_file()
    del study
    gc.collect()
    assert not folder.exists()


def test_temporary_folder_is_removed_if_the_classifier_cannot_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(images: Images) -> Scores:
        raise ModelError("no such operator")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.raises(ModelError, match="no such operator") as caught:
        onnxplain.evaluate(photos, models=Net(fail, SIZE), methods="random", output=None)
    caught.value.__traceback__ = None
    del caught
    gc.collect()
    assert not list((tmp_path / "temporary").iterdir())


def test_failed_image_is_a_failure_and_the_others_are_judged(net: Net, photos: Path):
    (photos / "yes" / "1.png").write_text("no image")
    study = onnxplain.evaluate(
        photos, models=net, methods="random", metrics="deletion:step=64", output=None
    )
    (failure,) = study.failures
    assert failure["image"] == "yes/1.png"
    assert "not an image" in failure["error"]
    assert len([row for row in study.rows if row["kind"] == "score"]) == 3


@dataclass(frozen=True)
class Careless:
    """A metric of somebody who forgot what rows are written in."""

    name = "careless"
    direction = "higher"
    unit = "1"
    usual_fill = None
    looks_at_boxes = False

    def evaluations(self, size):
        return 0

    def flow(self, case, heatmap, rng):
        yield from ()
        return metrics.MetricResult(0.5, {"top": heatmap.max()})


def test_metric_that_rows_cannot_hold_fails_alone(net: Net, photos: Path):
    """It ended the study, with an error about JSON."""
    study = onnxplain.evaluate(
        photos, models=net, methods="random", metrics=[Careless(), "deletion:step=64"], output=None
    )
    assert {row["metric"] for row in study.failures} == {"careless"}
    assert "JSON cannot hold the details of metric careless" in study.failures[0]["error"]
    assert sum(row.get("value") is not None for row in study.rows) == 4


def test_unknown_labels_are_notices_and_logged(
    net: Net, photos: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        study = onnxplain.evaluate(
            photos, models=net, methods="random", metrics="deletion:step=64", output=None
        )
    expected = "1 image left out, with labels that are not classes of the classifier: unicorn"
    assert study.notices == (expected,)
    assert [record.getMessage() for record in caplog.records] == [expected]


def test_shards_together_are_the_whole(net: Net, photos: Path):
    arguments: dict[str, Any] = {"models": net, "methods": METHODS, "metrics": METRICS}
    whole = onnxplain.evaluate(photos, output=None, **arguments)
    parts = [
        onnxplain.evaluate(photos, output=None, shard=(part, 2), **arguments) for part in (1, 2)
    ]
    assert index_rows(parts[0]) | index_rows(parts[1]) == index_rows(whole)
    assert not set(index_rows(parts[0])) & set(index_rows(parts[1]))


def test_progress_counts_pairs_and_reports_every_row(net: Net, photos: Path):
    reports: list[StudyProgress] = []
    study = onnxplain.evaluate(
        photos,
        models=[net, net],
        methods=METHODS,
        metrics=METRICS,
        fills=["telea", "black"],
        output=None,
        on_progress=reports.append,
    )
    first = [report for report in reports if report.position == 0]
    assert first[0] == StudyProgress("net", 0, 0, 4 * 4, 0)
    assert (first[-1].done, first[-1].total) == (16, 16)
    assert first[-1].inpaints > 0
    written = [row["key"] for report in reports for row in report.rows]
    assert sorted(written) == sorted(index_rows(study))
    second = [report for report in reports if report.position == 1]
    assert (second[-1].done, second[-1].inpaints) == (16, 0)  # its rows existed already


def test_kept_heatmaps_are_used_again(net: Net, photos: Path, tmp_path: Path):
    arguments: dict[str, Any] = {"models": net, "methods": METHODS, "output": None}
    arguments["keep_heatmaps"] = tmp_path / "maps"
    onnxplain.evaluate(photos, metrics="deletion:step=64", **arguments)
    assert len(list((tmp_path / "maps").glob("*.npy"))) == 4 * 2
    net.calls.clear()
    onnxplain.evaluate(photos, metrics="insertion:step=64", **arguments)
    assert sum(net.calls) == 4 + 4 * 2 * 5  # each photo once, and the points of the curves


def test_interruption_says_where_the_rows_are(net: Net, photos: Path, tmp_path: Path):
    def interrupt(progress: StudyProgress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    arguments: dict[str, Any] = {"models": net, "methods": METHODS, "metrics": METRICS}
    with pytest.raises(KeyboardInterrupt, match=r"finished work is in .*rows.jsonl"):
        onnxplain.evaluate(photos, output=tmp_path / "out", on_progress=interrupt, **arguments)
    whole = onnxplain.evaluate(photos, output=None, **arguments)
    resumed = onnxplain.evaluate(photos, output=tmp_path / "out", **arguments)
    assert index_rows(resumed) == index_rows(whole)


def test_interruption_promises_no_rows_in_a_temporary_folder(net: Net, photos: Path):
    def interrupt(progress: StudyProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        onnxplain.evaluate(photos, models=net, output=None, on_progress=interrupt)
    assert str(caught.value) == ""


def test_integers_of_numpy_are_integers(net: Net, photos: Path):
    arguments: dict[str, Any] = {"models": net, "methods": "random", "metrics": METRICS[0]}
    numpy_study, study = (
        onnxplain.evaluate(photos, seed=seed, limit=limit, output=None, **arguments)
        for seed, limit in ((np.int64(3), np.int32(2)), (3, 2))
    )
    assert index_rows(numpy_study) == index_rows(study)


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"methods": "lyme"}, ValueError, "did you mean 'lime"),
        ({"methods": onnxplain.SP}, TypeError, "a method is a value or a name"),
        ({"metrics": "localisation"}, ValueError, "needs boxes"),
        ({"shard": (3, 2)}, ValueError, "shard must be a part"),
        ({"shard": 3}, ValueError, "shard must be a part"),
        ({"limit": "3"}, TypeError, "limit must be an integer, got '3'"),
        ({"seed": 1.5}, TypeError, "seed must be an integer, got 1.5"),
        ({"held_out": "half"}, TypeError, "held_out must be a number, got 'half'"),
        ({"plan": {"seed": 1}}, TypeError, "plan must be a path, got dict"),
        ({"annotations": [1]}, TypeError, "annotations must be a path, got list"),
        ({"limit": 0}, ValueError, "limit must be >= 1"),
        ({"models": 3}, TypeError, "a model must be a name, a path, or a classifier"),
        ({"models": "nope.onnx"}, OnnxplainError, "no such file"),
        ({"plan": "none.toml"}, ValueError, "not a readable plan"),
        ({"annotations": "none.csv"}, ValueError, "cannot be read as labels"),
        ({"methods": "given:folder=nowhere"}, ValueError, "is not a folder"),
    ],
)
def test_wrong_arguments_are_errors_before_any_work(
    net: Net,
    photos: Path,
    tmp_path: Path,
    arguments: dict[str, Any],
    error: type[Exception],
    problem: str,
):
    with pytest.raises(error, match=problem):
        onnxplain.evaluate(photos, output=tmp_path / "out", **{"models": net, **arguments})
    assert net.calls == []
    assert not (tmp_path / "out").exists()


def test_images_are_needed(net: Net):
    with pytest.raises(ValueError, match="no images: give their folder"):
        onnxplain.evaluate(plan=Plan(), models=net)


def test_white_of_deep_photos_can_be_said(net: Net, tmp_path: Path):
    shallow = reddish(0)
    folder = tmp_path / "deep" / "yes"
    folder.mkdir(parents=True)
    # Twelve bits in sixteen: the same photo, if 4095 is white.
    deep = np.rint(shallow.astype(np.float64) * 4095 / 255).astype(np.uint16)
    assert cv2.imwrite(str(folder / "0.png"), deep[..., ::-1])
    save(tmp_path / "shallow" / "yes" / "0.png", shallow)

    def judge(photos: Path, **options: Any) -> list[float]:
        study = onnxplain.evaluate(
            photos, models=net, methods=METHODS[0], metrics=METRICS, output=None, **options
        )
        return [row["value"] for row in study.rows if row["kind"] == "score"]

    expected = judge(tmp_path / "shallow", only_correct=False)
    dark = judge(tmp_path / "deep", only_correct=False)
    told = judge(tmp_path / "deep", only_correct=False, white=4095)
    np.testing.assert_allclose(told, expected, atol=1e-3)
    assert np.abs(np.subtract(dark, expected)).max() > 0.01


def test_one_model_under_two_names_is_a_notice(model: Path, photos: Path):
    """The tables had one of the two without a word."""
    copy = model.with_name("copy.onnx")
    copy.write_bytes(model.read_bytes())
    copy.with_suffix(".toml").write_text(model.with_suffix(".toml").read_text())
    study = onnxplain.evaluate(
        photos,
        models=[model, copy],
        methods="random",
        metrics="deletion:step=64",
        only_correct=False,
        output=None,
    )
    expected = f"{model} and {copy} are the same model: the tables have it once"
    assert expected in study.notices
    assert len({row["model"] for row in study.rows}) == 1
