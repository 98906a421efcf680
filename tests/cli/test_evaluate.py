"""``onnxplain evaluate`` and ``merge`` on a small model."""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest

import onnxplain
from onnxplain.core.data import Box
from onnxplain.image import resize
from onnxplain.metrics.heatmaps.boxes import box_mask
from onnxplain.subjects import fit_to_classifier, from_array
from tests.cli.conftest import ENVIRONMENT, SPEC, Run
from tests.helpers import models, painters

FEW = (
    *("--method", "sp:patch=4,stride=4", "--method", "rise:n_masks=30,grid=4"),
    *("--metric", "deletion:step=32", "--metric", "localisation"),
    *("--batch-size", 8),  # not measured
)
HEAD = "file,class_index,xmin,ymin,xmax,ymax,width,height\n"


@pytest.fixture
def photos(folder: Path, model: Path) -> Path:
    """Eight photos, labelled as the model sees them, but for the last one."""
    classifier = onnxplain.load(model, device="cpu", batch_size=1)
    lines = [HEAD]
    (folder / "photos").mkdir()
    for i in range(8):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 30, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / "photos" / f"{i}.png")
        _, image = fit_to_classifier(classifier, from_array(pixels))
        seen = int(classifier.scores(image[None]).argmax())
        label = (seen + 1) % 3 if i == 7 else seen
        lines.append(f"{i}.png,{label},8,4,22,16,30,20\n")
    (folder / "labels.csv").write_text("".join(lines))
    return folder / "photos"


def rows_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def rows(path: Path) -> list[dict[str, Any]]:
    return rows_of(path.read_text())


def by_key(path: Path) -> dict[str, dict[str, Any]]:
    found = rows(path)
    assert len({row["key"] for row in found}) == len(found)
    return {row["key"]: row for row in found}


def words(photos: Path, model: Path, *more: object) -> tuple[object, ...]:
    return ("evaluate", photos, "--annotations", "labels.csv", "-m", model, *FEW, *more)


def test_labelled_folder_becomes_tables(run: Run, model: Path, photos: Path, folder: Path):
    result = run(*words(photos, model))
    assert result.exit_code == 0, result.stderr
    assert "7 images classified correctly, 1 wrongly, 0 failed" in result.stderr
    assert result.stdout.startswith("Means\nmodel")
    assert "Paired tests" in result.stdout
    found = rows(folder / "evaluation" / "rows.jsonl")
    assert len(found) == 8 + 7 * 2 * 2
    with (folder / "evaluation" / "means.csv").open() as file:
        means = {(row["metric"], row["method"]): row for row in csv.DictReader(file)}
    for method in ("sp", "rise"):
        values = [
            row["value"]
            for row in found
            if (row.get("method"), row.get("metric")) == (method, "deletion")
        ]
        assert float(means["deletion", method]["mean"]) == pytest.approx(np.mean(values))
    made = {path.name for path in (folder / "evaluation").iterdir()}
    names = ("means", "pairs", "by-method")
    assert made == {"rows.jsonl", *(f"{n}.{s}" for n in names for s in ("csv", "md", "tex"))}


def test_tables_and_rows_as_parquet(run: Run, model: Path, photos: Path, folder: Path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    assert run(*words(photos, model, "--limit", 3, "--parquet")).exit_code == 0
    found = parquet.read_table(folder / "evaluation" / "rows.parquet").to_pylist()
    scores = [row for row in rows(folder / "evaluation" / "rows.jsonl") if row["kind"] == "score"]
    told = ("key", "image", "method", "metric", "value")
    assert [[line[name] for name in told] for line in found] == [
        [row[name] for name in told] for row in scores
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
    models.save(difference(), folder / "d.onnx")
    metrics = (
        *("--metric", "still-recognised:model=other.onnx,fill=black"),
        *("--metric", "filled-distance:model=d.onnx,range=[0,1],fill=black"),
    )
    plain = ("evaluate", photos, "--annotations", "labels.csv", "-m", model, "--batch-size", 8)
    result = run(*plain, "--method", "random", *metrics)
    assert result.exit_code == 0, result.stderr
    found = {
        (row["image"], row["metric"]): row
        for row in rows(folder / "evaluation" / "rows.jsonl")
        if row["kind"] == "score"
    }
    assert len(found) == 7 * 2
    classifier = onnxplain.load(model, device="cpu", batch_size=1)
    by = onnxplain.load(other, device="cpu", batch_size=1)
    for i in (0, 3):
        photo = np.asarray(PIL.Image.open(photos / f"{i}.png"))
        frame, image = fit_to_classifier(classifier, from_array(photo))
        box = frame.box(Box(4, 8, 16, 22))
        inside = box_mask([box], (16, 16))[..., None].astype(np.float32)
        after = image * (1 - inside)
        row = found[f"{i}.png", "filled-distance"]
        assert row["value"] == pytest.approx(((image - after) ** 2).mean(), rel=1e-5)
        seen = np.exp(by.scores(resize(after, (12, 12), antialias=True)[None])[0])
        row = found[f"{i}.png", "still-recognised"]
        target = row["target"]
        assert row["details"]["score_after"] == pytest.approx(seen[target] / seen.sum(), abs=1e-4)
        assert row["metric_parameters"]["model"] == "other.onnx"
    before = (folder / "evaluation" / "rows.jsonl").read_bytes()
    run(*plain, "--method", "random", *metrics)
    assert (folder / "evaluation" / "rows.jsonl").read_bytes() == before


def difference() -> onnx.ModelProto:
    """The mean square of the difference of two images."""
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
    result = run(*words(photos, model, "--metric", "still-recognised:model=other.onnx"))
    assert result.exit_code == 2
    text = " ".join(result.stderr.split())
    assert "it calls 'dog' what the classifier explained calls 'cat, kitty'" in text


def test_photos_without_labels_are_explained_for_the_predicted_class(
    run: Run, model: Path, photos: Path, folder: Path
):
    few = (*FEW[:6], *FEW[8:])
    result = run("evaluate", photos, "-m", model, *few)
    assert result.exit_code == 0, result.stderr
    assert "8 without a label, of which the predicted class is explained" in result.stderr
    found = rows(folder / "evaluation" / "rows.jsonl")
    assert len(found) == 8 * 3
    assert all(row["target"] == row["predicted"] for row in found if row["kind"] == "image")


def test_started_again_it_prints_the_same_and_writes_no_row(run: Run, model: Path, photos: Path):
    first = run(*words(photos, model))
    before = Path("evaluation/rows.jsonl").read_bytes()
    again = run(*words(photos, model))
    assert again.stdout == first.stdout
    assert Path("evaluation/rows.jsonl").read_bytes() == before


def test_rows_of_other_parameters_are_not_in_the_tables(run: Run, model: Path, photos: Path):
    expected = run(*words(photos, model, "-o", "a")).stdout
    run(*words(photos, model, "-o", "b", "--seed", 4))
    assert run(*words(photos, model, "-o", "b")).stdout == expected


def test_rows_of_an_inpainter_that_is_described_otherwise_are_others(
    run: Run, model: Path, photos: Path
):
    onnx.save(painters.plain(), "painter.onnx")
    asked = ("evaluate", photos, "--annotations", "labels.csv", "-m", model, "--limit", 1)
    asked += ("--method", "sp-g:patch=8,stride=8", "--metric", "localisation", "--batch-size", 8)
    asked += ("--all-images", "--inpainter", "painter.onnx")
    for described in ((), ("--inpainter-premultiply",)):
        assert run(*asked, *described).exit_code == 0
    found = [row for row in rows(Path("evaluation/rows.jsonl")) if row["kind"] == "score"]
    assert len(found) == len({row["key"] for row in found}) == 2


def test_parts_merged_are_the_whole(run: Run, model: Path, photos: Path, folder: Path):
    whole = run(*words(photos, model, "-o", "whole", "--limit", 5))
    for i in (1, 2):
        result = run(*words(photos, model, "-o", f"part{i}", "--limit", 5, "--shard", f"{i}/2"))
        assert result.exit_code == 0
    merged = run("merge", "all/rows.jsonl", "part1/rows.jsonl", "part2/rows.jsonl")
    expected = by_key(folder / "whole" / "rows.jsonl")
    assert merged.stdout == f"all/rows.jsonl: {len(expected)} rows\n"
    assert by_key(folder / "all" / "rows.jsonl") == expected
    again = run(*words(photos, model, "-o", "all", "--limit", 5))
    assert again.stdout == whole.stdout
    assert by_key(folder / "all" / "rows.jsonl") == expected


def test_plan_file_says_what_options_say_and_options_win(
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
    expected = run(*words(photos, model, "--limit", 3)).stdout
    planned = ("evaluate", *FEW[8:], "--plan", "plan.toml")
    assert run(*planned, "--limit", 3, "-o", "b").stdout == expected
    assert run(*planned, "-o", "c").stdout != expected


def test_two_classifiers_share_the_tables(run: Run, model: Path, photos: Path, folder: Path):
    onnx.save(models.additive(models.weights((16, 16), seed=1)), folder / "other.onnx")
    (folder / "other.toml").write_text(SPEC)
    result = run(*words(photos, model, "-m", "other.onnx", "--all-images"))
    assert result.exit_code == 0, result.stderr
    found = rows(folder / "evaluation" / "rows.jsonl")
    assert len(found) == 2 * 8 * (1 + 2 * 2)
    assert {row["model"] for row in found} == {"tiny.onnx", "other.onnx"}


def test_image_that_fails_is_told_and_the_exit_code_says_so(
    run: Run, model: Path, photos: Path, folder: Path
):
    (photos / "2.png").write_text("no image")
    result = run(*words(photos, model))
    assert result.exit_code == 1
    assert "Error: 2.png: " in result.stderr
    assert "not an image" in result.stderr
    assert len(rows(folder / "evaluation" / "rows.jsonl")) == 8 + 6 * 2 * 2
    assert run(*words(photos, model)).exit_code == 1


def test_folders_are_classes_and_others_are_left_out(
    run: Run, model: Path, photos: Path, folder: Path
):
    for name in ("dog", "kitty", "unicorn"):
        (folder / "tree" / name).mkdir(parents=True)
        (folder / "tree" / name / "x.png").write_bytes((photos / "0.png").read_bytes())
    result = run("evaluate", "tree", "-m", model, *FEW[:6], *FEW[8:], "--all-images")
    assert result.exit_code == 0, result.stderr
    assert "Warning: 1 images are left out, as the classifier has no class unicorn" in result.stderr
    found = rows(folder / "evaluation" / "rows.jsonl")
    targets = {row["image"]: row["target"] for row in found}
    assert targets == {"dog/x.png": 1, "kitty/x.png": 0}


def test_kept_heatmaps_are_those_of_explain(run: Run, model: Path, photos: Path, folder: Path):
    run(*words(photos, model, "--keep-heatmaps", "maps"))
    assert len(list((folder / "maps").iterdir())) == 7 * 2
    (kept,) = (folder / "maps").glob("3-rise-*.npy")
    few = ("--n-masks", 30, "--grid", 4, "--batch-size", 8, "--json")
    (one,) = rows_of(run("explain", photos / "3.png", "-m", model, *few).stdout)
    assert np.array_equal(np.load(kept), onnxplain.load_explanation(one["heatmap"]).heatmap)


def test_heatmaps_made_elsewhere_get_what_their_method_gets(
    run: Run, model: Path, photos: Path, folder: Path
):
    run(*words(photos, model, "--keep-heatmaps", "deep/maps"))
    (folder / "deep" / "theirs").mkdir()
    for kept in (folder / "deep" / "maps").glob("*-rise-*.npy"):
        kept.rename(folder / "deep" / "theirs" / f"{kept.name.partition('-')[0]}.npy")
    result = run(*words(photos, model, "--method", "given:folder=deep/theirs"))
    assert result.exit_code == 0, result.stderr
    found: dict[str, dict[tuple[str, str], float]] = {"rise": {}, "given": {}, "sp": {}}
    for row in rows(folder / "evaluation" / "rows.jsonl"):
        if row["kind"] == "score":
            found[row["method"]][row["image"], row["metric"]] = row["value"]
    assert found["given"] == pytest.approx(found["rise"], abs=1e-6)
    assert found["given"] != pytest.approx(found["sp"], abs=1e-3)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("--method", "lyme"), "did you mean 'lime"),
        (("--metric", "deletion:step"), "key=value"),
        (("--shard", "3/2"), "is not a part like 1/4"),
        (("--held-out", 1), "held_out must be >= 0 and < 1"),
        (("--annotations", "none.csv"), "none.csv: not readable labels"),
        (("--plan", "none.toml"), "not a readable plan"),
        (("--method", "given:folder=nowhere"), "given:folder=nowhere: is not a folder"),
    ],
)
def test_wrong_words_are_usage_errors(
    run: Run, model: Path, photos: Path, more: tuple[object, ...], problem: str
):
    result = run(*words(photos, model), *more)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.split())
    assert not Path("evaluation").exists()


def test_boxes_that_nobody_gives_are_missed_before_the_work(run: Run, model: Path, photos: Path):
    result = run("evaluate", photos, "-m", model, *FEW)
    assert result.exit_code == 2
    text = " ".join(result.stderr.split())
    assert "metric localisation needs boxes around the objects, and no image has any" in text
    assert "--annotations with xmin" in text
    assert not Path("evaluation").exists()


def test_all_classifiers_are_there_before_the_first_runs(run: Run, model: Path, photos: Path):
    result = run(*words(photos, model, "-m", "nope.onnx"))
    assert result.exit_code == 1
    assert "nope.onnx" in result.stderr
    assert not Path("evaluation").exists()


def test_folder_for_heatmaps_is_there_before_the_work(run: Run, model: Path, photos: Path):
    Path("file").touch()
    result = run(*words(photos, model, "--keep-heatmaps", "file"))
    assert result.exit_code == 1
    assert "file: cannot be written" in result.stderr
    assert not Path("evaluation/rows.jsonl").exists()


def test_folder_is_needed(run: Run, model: Path):
    result = run("evaluate", "-m", model)
    assert result.exit_code == 2
    assert "give the FOLDER of the images" in result.stderr


def test_where_nothing_is_right_the_way_out_is_told(run: Run, model: Path, photos: Path):
    wrong = (photos.parent / "labels.csv").read_text().splitlines(keepends=True)[-1]
    (photos.parent / "labels.csv").write_text(HEAD + wrong)
    result = run(*words(photos, model))
    assert result.exit_code == 0
    assert "1 wrongly, 0 failed; --all-images judges" in result.stderr
    result = run(*words(photos, model, "--all-images"))
    assert "1 wrongly, 0 failed\n" in result.stderr


def test_files_of_the_same_pixels_are_as_many_images(run: Run, model: Path, photos: Path):
    for file in ("twins/x/a.png", "twins/y/a.png", "loose/a.png", "loose/b.png", "loose/c.png"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_bytes((photos / "0.png").read_bytes())
    Path("twins.csv").write_text("file,class_index\nx/a.png,1\ny/a.png,1\n")
    few = ("-m", model, "--batch-size", 8, "--method", "random", "--metric", "deletion:step=99")
    labelled = ("evaluate", "twins", "--annotations", "twins.csv", "--all-images", *few)
    first = run(*labelled, "-o", "one")
    assert len(by_key(Path("one/rows.jsonl"))) == 2 * 2
    run("merge", "all/rows.jsonl", "one/rows.jsonl")
    assert run(*labelled, "-o", "all").stdout == first.stdout
    assert "3 without a label" in run("evaluate", "loose", *few).stderr
    assert len(by_key(Path("evaluation/rows.jsonl"))) == 3 * 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_at_random_moments_it_ends_with_the_same_rows(
    run: Run, model: Path, photos: Path, folder: Path
):
    work = words(photos, model, "--method", "random", "--metric", "insertion:step=1")
    run(*work, "-o", "whole")
    expected = by_key(folder / "whole" / "rows.jsonl")
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
    assert by_key(path) == expected
    assert path.read_bytes().splitlines(keepends=True)[: len(before_end)] == before_end
    for name in ("means.csv", "pairs.csv"):
        assert (folder / "killed" / name).read_text() == (folder / "whole" / name).read_text()
