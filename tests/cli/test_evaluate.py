"""``onnxplain evaluate`` on a small model."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest

import onnxplain
from onnxplain.core.data import Box
from onnxplain.image import resize
from onnxplain.metrics.heatmaps.boxes import make_box_mask
from onnxplain.study.rows import Row, RowFile, lock_rows
from onnxplain.subjects import fit_to_classifier, from_array
from tests.cli.conftest import (
    ENVIRONMENT,
    FEW,
    HEAD,
    SPEC,
    Run,
    index_rows,
    make_words,
    parse_lines,
    read_lines,
)
from tests.helpers import models, painters


def test_labelled_folder_becomes_tables(run: Run, model: Path, photos: Path, folder: Path):
    result = run(*make_words(photos, model))
    assert result.exit_code == 0, result.stderr
    assert "images classified correctly: 7, wrongly: 1, failed: 0" in result.stderr
    assert result.stdout.startswith("tiny.onnx: means with 95 % intervals, the best method first")
    assert "evaluation: means, pairs, by-method (.csv, .md, .tex) and rows.jsonl" in result.stderr
    assert "Note: the thresholds of localisation were chosen on " in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 100
    rows = read_lines(folder / "evaluation" / "rows.jsonl")
    assert len(rows) == 8 + 7 * 2 * 2
    named = {row["metric"]: row.get("alpha") for row in rows if row["kind"] == "score"}
    assert named == {"deletion": None, "localisation": 0.2}  # not that of the table
    with (folder / "evaluation" / "means.csv").open() as file:
        means = {(row["metric"], row["method"]): row for row in csv.DictReader(file)}
    for method in ("sp", "rise"):
        values = [
            row["value"]
            for row in rows
            if (row.get("method"), row.get("metric")) == (method, "deletion")
        ]
        assert float(means["deletion", method]["mean"]) == pytest.approx(np.mean(values))
    files = {path.name for path in (folder / "evaluation").iterdir()}
    names = ("means", "pairs", "by-method")
    tables = {f"{name}.{suffix}" for name in names for suffix in ("csv", "md", "tex")}
    expected = {"rows.jsonl", "keys.txt", *tables}
    assert files - {"report.html"} == expected  # the page needs Jinja


def test_tables_and_rows_as_parquet(run: Run, model: Path, photos: Path, folder: Path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    assert run(*make_words(photos, model, "--limit", 3, "--parquet")).exit_code == 0
    lines = parquet.read_table(folder / "evaluation" / "rows.parquet").to_pylist()
    scores = [
        row for row in read_lines(folder / "evaluation" / "rows.jsonl") if row["kind"] == "score"
    ]
    names = ("key", "image", "method", "metric", "value")
    assert [[line[name] for name in names] for line in lines] == [
        [row[name] for name in names] for row in scores
    ]
    with (folder / "evaluation" / "means.csv").open() as file:
        means = [float(row["mean"]) for row in csv.DictReader(file)]
    table = parquet.read_table(folder / "evaluation" / "means.parquet")
    assert table.column("mean").to_pylist() == means


def test_fills_are_judged_by_another_classifier_and_a_distance(
    run: Run, model: Path, photos: Path, folder: Path
):
    other = models.save(models.additive(models.weights((12, 12), seed=3)), folder / "other.onnx")
    other.with_suffix(".toml").write_text(SPEC)
    models.save(make_distance(), folder / "d.onnx")
    metrics = (
        *("--metric", "still-recognised:model=other.onnx,fill=black"),
        *("--metric", "filled-distance:model=d.onnx,range=[0,1],fill=black"),
    )
    plain = ("evaluate", photos, "--annotations", "labels.csv", "-m", model, "--batch-size", 8)
    result = run(*plain, "--method", "random", *metrics)
    assert result.exit_code == 0, result.stderr
    scores = {
        (row["image"], row["metric"]): row
        for row in read_lines(folder / "evaluation" / "rows.jsonl")
        if row["kind"] == "score"
    }
    assert len(scores) == 7 * 2
    classifier = onnxplain.load(model, device="cpu", batch_size=1)
    judging = onnxplain.load(other, device="cpu", batch_size=1)
    for i in (0, 3):
        photo = np.asarray(PIL.Image.open(photos / f"{i}.png"))
        frame, image = fit_to_classifier(classifier, from_array(photo))
        box = frame.box(Box(4, 8, 16, 22))
        inside = make_box_mask([box], (16, 16))[..., None].astype(np.float32)
        after = image * (1 - inside)
        row = scores[f"{i}.png", "filled-distance"]
        assert row["value"] == pytest.approx(((image - after) ** 2).mean(), rel=1e-5)
        seen = np.exp(judging.scores(resize(after, (12, 12), antialias=True)[None])[0])
        row = scores[f"{i}.png", "still-recognised"]
        target = row["target"]
        assert row["details"]["score_after"] == pytest.approx(seen[target] / seen.sum(), abs=1e-4)
        assert row["metric_parameters"]["model"] == "other.onnx"
    before = (folder / "evaluation" / "rows.jsonl").read_bytes()
    run(*plain, "--method", "random", *metrics)
    assert (folder / "evaluation" / "rows.jsonl").read_bytes() == before


def make_distance() -> onnx.ModelProto:
    """The mean square of the make_distance of two images."""
    nodes = [
        onnx.helper.make_node("Sub", ["a", "b"], ["c"]),
        onnx.helper.make_node("Mul", ["c", "c"], ["square"]),
        onnx.helper.make_node("ReduceMean", ["square"], ["d"], axes=[1, 2, 3], keepdims=0),
    ]
    image = (onnx.TensorProto.FLOAT, ["N", 3, "H", "W"])
    return models.model(nodes, {"a": image, "b": image}, {"d": (onnx.TensorProto.FLOAT, ["N"])})


def test_judge_of_other_classes_is_an_error(run: Run, model: Path, photos: Path, folder: Path):
    other = models.save(models.additive(models.weights((16, 16))), folder / "other.onnx")
    other.with_suffix(".toml").write_text('range = [0, 1]\nclass_names = ["dog", "cat", "bird"]\n')
    result = run(*make_words(photos, model, "--metric", "still-recognised:model=other.onnx"))
    assert result.exit_code == 2
    text = " ".join(result.stderr.split())
    assert "its class 'dog' is 'cat, kitty' in the explained classifier" in text


def test_photos_without_labels_are_explained_for_the_predicted_class(
    run: Run, model: Path, photos: Path, folder: Path
):
    few = (*FEW[:6], *FEW[8:])
    result = run("evaluate", photos, "-m", model, *few)
    assert result.exit_code == 0, result.stderr
    assert "without a label, explained for the predicted class: 8" in result.stderr
    rows = read_lines(folder / "evaluation" / "rows.jsonl")
    assert len(rows) == 8 * 3
    assert all(row["target"] == row["predicted"] for row in rows if row["kind"] == "image")


def test_second_run_prints_the_same_and_writes_no_row(run: Run, model: Path, photos: Path):
    first = run(*make_words(photos, model))
    before = Path("evaluation/rows.jsonl").read_bytes()
    again = run(*make_words(photos, model))
    assert again.stdout == first.stdout
    assert Path("evaluation/rows.jsonl").read_bytes() == before


def test_rows_of_other_parameters_are_not_in_the_tables(run: Run, model: Path, photos: Path):
    expected = run(*make_words(photos, model, "-o", "a")).stdout
    run(*make_words(photos, model, "-o", "b", "--seed", 4))
    assert run(*make_words(photos, model, "-o", "b")).stdout == expected


def test_another_description_of_the_inpainter_gives_other_rows(run: Run, model: Path, photos: Path):
    onnx.save(painters.plain(), "painter.onnx")
    asked = ("evaluate", photos, "--annotations", "labels.csv", "-m", model, "--limit", 1)
    asked += ("--method", "sp-g:patch=8,stride=8", "--metric", "localisation", "--batch-size", 8)
    asked += ("--all-images", "--inpainter", "painter.onnx")
    for described in ((), ("--inpainter-premultiply",)):
        assert run(*asked, *described).exit_code == 0
    scores = [row for row in read_lines(Path("evaluation/rows.jsonl")) if row["kind"] == "score"]
    assert len(scores) == len({row["key"] for row in scores}) == 2


def test_plan_file_equals_options_and_options_win(
    run: Run, model: Path, photos: Path, folder: Path
):
    (folder / "plan.toml").write_text(
        """
        images = "photos"
        annotations = "labels.csv"
        models = ["tiny.onnx"]
        methods = [{ name = "sp", patch = 4, stride = 4 }, "rise:n_masks=30,grid=4"]
        metrics = [{ name = "deletion", step = 32 }, "localisation"]
        limit = 2
        """
    )
    expected = run(*make_words(photos, model, "--limit", 3)).stdout
    planned = ("evaluate", *FEW[8:], "--plan", "plan.toml")
    assert run(*planned, "--limit", 3, "-o", "b").stdout == expected
    assert run(*planned, "-o", "c").stdout != expected


def test_two_classifiers_share_the_tables(run: Run, model: Path, photos: Path, folder: Path):
    onnx.save(models.additive(models.weights((16, 16), seed=1)), folder / "other.onnx")
    (folder / "other.toml").write_text(SPEC)
    result = run(*make_words(photos, model, "-m", "other.onnx", "--all-images"))
    assert result.exit_code == 0, result.stderr
    rows = read_lines(folder / "evaluation" / "rows.jsonl")
    assert len(rows) == 2 * 8 * (1 + 2 * 2)
    assert {row["model"] for row in rows} == {"tiny.onnx", "other.onnx"}


def test_failing_image_is_reported_and_the_exit_code_is_1(
    run: Run, model: Path, photos: Path, folder: Path
):
    (photos / "2.png").write_text("no image")
    result = run(*make_words(photos, model))
    assert result.exit_code == 1
    assert "Error: 2.png: " in result.stderr
    assert "not an image" in result.stderr
    assert len(read_lines(folder / "evaluation" / "rows.jsonl")) == 8 + 6 * 2 * 2
    assert run(*make_words(photos, model)).exit_code == 1


def test_folders_are_classes_and_unknown_ones_are_left_out(
    run: Run, model: Path, photos: Path, folder: Path
):
    for name in ("dog", "kitty", "unicorn"):
        (folder / "tree" / name).mkdir(parents=True)
        (folder / "tree" / name / "x.png").write_bytes((photos / "0.png").read_bytes())
    result = run("evaluate", "tree", "-m", model, *FEW[:6], *FEW[8:], "--all-images")
    assert result.exit_code == 0, result.stderr
    assert (
        "Warning: 1 image left out, with labels that are not classes of the classifier: unicorn"
        in result.stderr
    )
    rows = read_lines(folder / "evaluation" / "rows.jsonl")
    targets = {row["image"]: row["target"] for row in rows}
    assert targets == {"dog/x.png": 1, "kitty/x.png": 0}


def test_kept_heatmaps_are_those_of_explain(run: Run, model: Path, photos: Path, folder: Path):
    run(*make_words(photos, model, "--keep-heatmaps", "maps"))
    assert len(list((folder / "maps").iterdir())) == 7 * 2
    (kept,) = (folder / "maps").glob("3-rise-*.npy")
    few = ("--n-masks", 30, "--grid", 4, "--batch-size", 8, "--json")
    (explained,) = parse_lines(run("explain", photos / "3.png", "-m", model, *few).stdout)
    assert np.array_equal(np.load(kept), onnxplain.load_explanation(explained["heatmap"]).heatmap)


def test_heatmaps_made_elsewhere_get_the_values_of_their_method(
    run: Run, model: Path, photos: Path, folder: Path
):
    run(*make_words(photos, model, "--keep-heatmaps", "deep/maps"))
    (folder / "deep" / "theirs").mkdir()
    for kept in (folder / "deep" / "maps").glob("*-rise-*.npy"):
        kept.rename(folder / "deep" / "theirs" / f"{kept.name.partition('-')[0]}.npy")
    result = run(*make_words(photos, model, "--method", "given:folder=deep/theirs"))
    assert result.exit_code == 0, result.stderr
    values: dict[str, dict[tuple[str, str], float]] = {"rise": {}, "given": {}, "sp": {}}
    for row in read_lines(folder / "evaluation" / "rows.jsonl"):
        if row["kind"] == "score":
            values[row["method"]][row["image"], row["metric"]] = row["value"]
    assert values["given"] == pytest.approx(values["rise"], abs=1e-6)
    assert values["given"] != pytest.approx(values["sp"], abs=1e-3)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("--method", "lyme"), "did you mean 'lime"),
        (("--metric", "deletion:step"), "key=value"),
        (("--shard", "3/2"), "is not a part like 1/4"),
        (("--held-out", 1), "held_out must be >= 0 and < 1"),
        (("--annotations", "none.csv"), "none.csv: cannot be read as labels"),
        (("--plan", "none.toml"), "not a readable plan"),
        (("--method", "given:folder=nowhere"), "given:folder=nowhere: is not a folder"),
    ],
)
def test_wrong_arguments_are_usage_errors(
    run: Run, model: Path, photos: Path, more: tuple[object, ...], problem: str
):
    result = run(*make_words(photos, model), *more)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.split())
    assert not Path("evaluation").exists()


def test_missing_boxes_are_an_error_before_the_work(run: Run, model: Path, photos: Path):
    result = run("evaluate", photos, "-m", model, *FEW)
    assert result.exit_code == 2
    text = " ".join(result.stderr.split())
    assert "metric localisation needs boxes around the objects, but no image has any" in text
    assert "annotations with xmin" in text
    assert not Path("evaluation").exists()


def test_all_classifiers_are_loaded_before_the_first_runs(run: Run, model: Path, photos: Path):
    result = run(*make_words(photos, model, "-m", "nope.onnx"))
    assert result.exit_code == 1
    assert "nope.onnx" in result.stderr
    assert not Path("evaluation").exists()


def test_folder_for_heatmaps_is_checked_before_the_work(run: Run, model: Path, photos: Path):
    Path("file").touch()
    result = run(*make_words(photos, model, "--keep-heatmaps", "file"))
    assert result.exit_code == 1
    assert "file: cannot be written" in result.stderr
    assert not Path("evaluation/rows.jsonl").exists()


def test_folder_is_needed(run: Run, model: Path):
    result = run("evaluate", "-m", model)
    assert result.exit_code == 2
    assert "no images: give their folder" in result.stderr


def test_all_images_is_suggested_if_no_image_is_classified_correctly(
    run: Run, model: Path, photos: Path
):
    wrong = (photos.parent / "labels.csv").read_text().splitlines(keepends=True)[-1]
    (photos.parent / "labels.csv").write_text(HEAD + wrong)
    result = run(*make_words(photos, model))
    assert result.exit_code == 0
    assert "wrongly: 1, failed: 0; --all-images judges" in result.stderr
    result = run(*make_words(photos, model, "--all-images"))
    assert "wrongly: 1, failed: 0\n" in result.stderr


def test_files_with_the_same_pixels_are_different_images(run: Run, model: Path, photos: Path):
    for file in ("twins/x/a.png", "twins/y/a.png", "loose/a.png", "loose/b.png", "loose/c.png"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_bytes((photos / "0.png").read_bytes())
    Path("twins.csv").write_text("file,class_index\nx/a.png,1\ny/a.png,1\n")
    few = ("-m", model, "--batch-size", 8, "--method", "random", "--metric", "deletion:step=99")
    labelled = ("evaluate", "twins", "--annotations", "twins.csv", "--all-images", *few)
    first = run(*labelled, "-o", "first")
    assert len(index_rows(Path("first/rows.jsonl"))) == 2 * 2
    run("merge", "first", "-o", "all")
    assert run(*labelled, "-o", "all").stdout == first.stdout
    assert "explained for the predicted class: 3" in run("evaluate", "loose", *few).stderr
    assert len(index_rows(Path("evaluation/rows.jsonl"))) == 3 * 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_run_killed_at_random_moments_ends_with_the_same_rows(
    run: Run, model: Path, photos: Path, folder: Path
):
    work = make_words(photos, model, "--method", "random", "--metric", "insertion:step=1")
    run(*work, "-o", "whole")
    expected = index_rows(folder / "whole" / "rows.jsonl")
    path = folder / "killed" / "rows.jsonl"
    command = [sys.executable, "-m", "onnxplain", *map(str, work), "-o", "killed"]
    draw = random.Random(8)
    size = (folder / "whole" / "rows.jsonl").stat().st_size
    for _ in range(3):
        before = path.stat().st_size if path.exists() else 0
        goal = before + draw.randint(1, size // 4)
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        while process.poll() is None and (not path.exists() or path.stat().st_size < goal):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors
        done = path.read_bytes().splitlines(keepends=True)
        with path.open("ab") as file:  # as if the writing had been cut off, too
            file.write(done[-1][: draw.randint(0, 60)])
        before_end = [line for line in done if line.endswith(b"\n")]
    assert 0 < len(before_end) < len(expected)
    result = run(*work, "-o", "killed")
    assert result.exit_code == 0, result.stderr
    assert index_rows(path) == expected
    assert path.read_bytes().splitlines(keepends=True)[: len(before_end)] == before_end
    for name in ("means.csv", "pairs.csv"):
        assert (folder / "killed" / name).read_text() == (folder / "whole" / name).read_text()


def test_rows_removed_during_a_run_are_an_error(
    run: Run, photos: Path, model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    rows, append = folder / "evaluation" / "rows.jsonl", RowFile.append
    calls = []

    def append_and_remove(store: RowFile, added: Iterable[Row]) -> None:
        append(store, added)
        calls.append(1)
        if len(calls) == 3:
            rows.unlink()

    monkeypatch.setattr(RowFile, "append", append_and_remove)
    result = run(*make_words(photos, model))
    assert result.exit_code == 1
    assert "rows are gone" in result.stderr
    assert run(*make_words(photos, model)).exit_code == 0


def test_second_evaluation_into_one_folder_says_so(run: Run, photos: Path, model: Path):
    (photos.parent / "evaluation").mkdir()
    with lock_rows(photos.parent / "evaluation" / "rows.jsonl"):
        result = run(*make_words(photos, model))
    assert result.exit_code == 1
    assert "another evaluation is writing to it" in result.stderr


def test_quiet_run_over_earlier_failures_says_what_failed(run: Run, photos: Path, model: Path):
    (photos / "3.png").write_text("no photo")
    first = run(*make_words(photos, model, "-q"))
    again = run(*make_words(photos, model, "-q"))
    assert first.exit_code == again.exit_code == 1
    (line,) = first.stderr.splitlines()
    assert line.startswith("Error: 3.png: ")
    assert again.stderr == f"{line} (in an earlier run; --retry does it again)\n"
    retried = run(*make_words(photos, model, "-q", "--retry"))
    assert retried.stderr == first.stderr


def test_unreadable_image_is_counted_in_rows_tables_report_and_exit_code_alike(
    run: Run, photos: Path, model: Path, folder: Path
):
    photo = (photos / "3.png").read_bytes()
    (photos / "3.png").write_bytes(photo[:100])
    result = run(*make_words(photos, model))
    assert result.exit_code == 1
    assert "Error: 3.png: " in result.stderr
    counted = "images classified correctly: 6, wrongly: 1, failed: 1"
    assert counted in result.stderr
    rows = read_lines(folder / "evaluation" / "rows.jsonl")
    assert [row["image"] for row in rows if row["status"] == "error"] == ["3.png"]
    assert read_failed(folder) == {"sp": "1", "rise": "1", "whole image": "0"}
    if find_spec("jinja2"):
        page = (folder / "evaluation" / "report.html").read_text()
        assert counted.capitalize() in page
    (photos / "3.png").write_bytes(photo)
    mended = run(*make_words(photos, model))
    assert mended.exit_code == 0
    assert "images classified correctly: 7, wrongly: 1, failed: 0" in mended.stderr
    assert read_failed(folder) == {"sp": "0", "rise": "0", "whole image": "0"}


def read_failed(folder: Path) -> dict[str, str]:
    """Return what the table of means says to have failed, by method."""
    with (folder / "evaluation" / "means.csv").open() as file:
        return {row["method"]: row["failed"] for row in csv.DictReader(file)}


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are no text")
def test_photos_and_models_may_have_any_name(run: Run, photos: Path, model: Path, folder: Path):
    model = model.rename(folder / os.fsdecode(b"gr\xfcn.onnx"))
    (folder / "tiny.toml").rename(model.with_suffix(".toml"))
    names = [f"{'long' * 62}.png", "line\nbreak.png", os.fsdecode(b"gr\xfcn.png"), "-o.png"]
    for i, name in enumerate(names):
        (photos / f"{i}.png").rename(photos / name)
    for i in range(len(names), 8):
        (photos / f"{i}.png").unlink()
    words = (
        *("evaluate", photos, "-m", model, *FEW[:2], *FEW[4:6]),
        *("--keep-heatmaps", "maps", *(["--parquet"] if find_spec("pyarrow") else [])),
    )
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    rows = read_lines(folder / "evaluation" / "rows.jsonl")
    assert sorted(row["image"] for row in rows if row["kind"] == "score") == sorted(names)
    assert "gr\\udcfcn.onnx,deletion,sp,4" in (folder / "evaluation" / "means.csv").read_text()
    assert len(list((folder / "maps").iterdir())) == 4
    result = run("explain", photos, "-m", model, "--method", "sp:patch=8", "-q")
    assert result.exit_code == 0, result.stderr
    assert len(list((folder / "explanations").glob("*.npz"))) == 4


def test_methods_that_look_inside_are_compared_with_others(
    run: Run, photos: Path, convnet: Path, folder: Path
):
    words = ("evaluate", photos, "-m", convnet, "--all-images", "--batch-size", 3)
    asked = ("--method", "grad-cam", "--method", "grad-cam:layer=stage:1", "--method", "gradient")
    metrics = ("--metric", "deletion:step=64", "--metric", "insertion:step=64")
    result = run(*words, *asked, "--method", "sp:patch=8", "--fill", "black", *metrics)
    assert result.exit_code == 0, result.stderr
    rows = read_lines(folder / "evaluation" / "rows.jsonl")
    scores = [row for row in rows if row["kind"] == "score"]
    fills = {(row["method"], row["fill"]) for row in scores}
    assert fills == {("grad-cam", "none"), ("gradient", "none"), ("sp", "black")}
    values = {
        row["value"] for row in scores if row["method"] == "grad-cam" and row["image"] == "0.png"
    }
    assert len(values) >= 2  # of two layers
