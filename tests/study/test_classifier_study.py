"""Studies of one classifier: the rows they write, and the work they do again."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest

import onnxplain
from onnxplain.core.data import Attribution, Box, Case, Image, Images, Scores, Size
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import Flow
from onnxplain.core.params import Param, Parametrised
from onnxplain.core.protocols import Differentiable
from onnxplain.metrics import Deletion, Insertion, LocalisationError
from onnxplain.metrics.judging import judge
from onnxplain.registry import Entry
from onnxplain.study.classifier_study import Rules, study_classifier
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import Explainer, make_explainers
from onnxplain.study.judges import make_judges
from onnxplain.study.plan import Plan
from onnxplain.study.rows import RowFile, merge_rows
from tests.helpers.nets import CurvedGradients, Net, curved
from tests.study.conftest import (
    METHODS,
    SIZE,
    build_plan,
    fail_to_load,
    find_rows,
    index_rows,
    reddish,
    run_steps,
    save,
)


def test_rows_equal_explaining_and_judging_image_by_image(
    net: Net, items: list[Item], tmp_path: Path
):
    path = tmp_path / "rows.jsonl"
    study_plan = build_plan(
        fills=(Entry("white"),),
        metrics=("deletion:step=32,fill=black", "insertion:step=32", "localisation"),
        seed=5,
    )
    run_steps(net, items, path, study_plan)
    for item in items:
        for method in (onnxplain.SP(patch=4, stride=4), onnxplain.RISE(n_masks=30, grid=4)):
            heatmap = onnxplain.explain(
                net, item.path, method, target=1, fill="white", seed=5
            ).heatmap
            for metric, fill in (
                (Deletion(step=32), "black"),
                (Insertion(step=32), None),
                (LocalisationError(), None),
            ):
                expected = judge(
                    metric, net, item.path, heatmap, 1, boxes=item.boxes, fill=fill, seed=5
                )
                (row,) = find_rows(path, image=item.file, method=method.name, metric=metric.name)
                assert row["value"] == pytest.approx(expected.value, abs=1e-6)
                assert row["status"] == "done"
    (image_row,) = find_rows(path, kind="image", image="3.png")
    facts = [image_row[name] for name in ("predicted", "predicted_name", "status")]
    assert facts == [1, "yes", "done"]


def test_steps_hold_every_row_and_every_unit(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    first = run_steps(net, items, path, build_plan())
    again = run_steps(net, items, path, build_plan())
    for steps in (first, again):
        assert sum(step.units for step in steps) == 5 * 2
        assert {key for step in steps for key in step.keys} == set(index_rows(path))
    written = [row["key"] for step in first for row in step.rows]
    assert sorted(written) == sorted(index_rows(path))
    assert not any(step.rows for step in again)
    assert len(index_rows(path)) == 5 * (1 + 2 * 2)


def test_finished_study_asks_the_classifier_nothing(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    run_steps(net, items, path, build_plan())
    before = path.read_bytes()
    net.calls.clear()
    run_steps(net, items, path, build_plan())
    assert net.calls == []
    assert path.read_bytes() == before


@pytest.mark.parametrize("n_steps", [1, 2, 5, 9])
def test_stopped_study_goes_on_and_ends_with_the_same_rows(
    net: Net, items: list[Item], tmp_path: Path, n_steps: int
):
    whole, path = tmp_path / "whole.jsonl", tmp_path / "rows.jsonl"
    run_steps(net, items, whole, build_plan())
    study_plan = build_plan()
    running = study_classifier(
        net,
        items,
        make_explainers(study_plan, fail_to_load),
        make_judges(study_plan),
        RowFile(path),
    )
    for _ in range(n_steps):
        next(running)
    running.close()
    done = index_rows(path)
    with path.open("ab") as file:
        file.write(b'{"key": "cut o')
    run_steps(net, items, path, build_plan())
    assert index_rows(path) == index_rows(whole)
    assert list(index_rows(path))[: len(done)] == list(done)


def test_changed_parameter_recomputes_only_what_it_touches(
    net: Net, items: list[Item], tmp_path: Path
):
    path = tmp_path / "rows.jsonl"

    def compute(study_plan: Plan) -> set[tuple[str | None, str | None]]:
        steps = run_steps(net, items, path, study_plan)
        return {(row.get("method"), row.get("metric")) for step in steps for row in step.rows}

    sp, rise = METHODS
    compute(build_plan())
    assert compute(build_plan((sp, "rise:n_masks=31,grid=4"))) == {
        ("rise", "deletion"),
        ("rise", "localisation"),
    }
    assert compute(build_plan(metrics=("deletion:step=64", "localisation"))) == {
        ("sp", "deletion"),
        ("rise", "deletion"),
    }
    assert compute(build_plan(metrics=("deletion:step=32,fill=white", "localisation"))) == {
        ("sp", "deletion"),
        ("rise", "deletion"),
    }
    assert compute(build_plan((sp, rise, "random"))) == {
        ("random", "deletion"),
        ("random", "localisation"),
    }
    assert compute(build_plan()) == set()
    every = {(m, k) for m in ("sp", "rise") for k in ("deletion", "localisation")}
    assert compute(build_plan(fills=(Entry("white"),))) == every
    assert compute(build_plan(seed=1)) == every


def test_moved_boxes_touch_localisation_only(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    run_steps(net, items, path, build_plan())
    moved = [replace(item, boxes=(Box(0, 0, 9, 9),)) for item in items]
    steps = run_steps(net, moved, path, build_plan())
    assert {row["metric"] for step in steps for row in step.rows} == {"localisation"}


def test_changed_pixels_are_another_image(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    run_steps(net, items, path, build_plan())
    save(items[2].path, reddish(99))
    rows = [row for step in run_steps(net, items, path, build_plan()) for row in step.rows]
    assert {row["image"] for row in rows} == {"2.png"}
    assert len(rows) == 5


def test_wrongly_classified_images_are_left_out(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    blue = np.zeros((20, 24, 3), np.uint8)
    blue[..., 2] = 255
    save(items[1].path, blue)
    steps = run_steps(net, items, path, build_plan())
    assert sum(step.units for step in steps) == 10
    assert [row["status"] for row in find_rows(path, image="1.png")] == ["wrong"]
    assert find_rows(path, image="1.png")[0]["predicted"] == 0
    steps = run_steps(net, items, path, build_plan(), only_correct=False)
    assert {row["image"] for step in steps for row in step.rows} == {"1.png"}
    assert len(find_rows(path, image="1.png")) == 5
    # Scores of a wrongly classified image do not belong to a study that leaves such images out.
    keys = {key for step in run_steps(net, items, path, build_plan()) for key in step.keys}
    assert not keys & {row["key"] for row in find_rows(path, image="1.png", kind="score")}


def test_image_without_a_label_is_explained_for_the_predicted_class(
    net: Net, items: list[Item], tmp_path: Path
):
    path, expected = tmp_path / "rows.jsonl", tmp_path / "expected.jsonl"
    nameless = [replace(item, label=None) for item in items]
    blue = np.zeros((20, 24, 3), np.uint8)
    blue[..., 2] = 255
    save(items[1].path, blue)
    steps = run_steps(net, nameless, path, build_plan())
    assert sum(step.units for step in steps) == 10
    image_row = find_rows(path, kind="image", image="1.png")[0]
    assert (image_row["target"], image_row["predicted"], image_row["status"]) == (0, 0, "done")
    run_steps(net, [replace(items[1], label=0), *items[2:], items[0]], expected, build_plan())
    names = ("image", "method", "metric", "target", "value")
    predicted, labelled = (
        sorted(tuple(row[name] for name in names) for row in find_rows(source, kind="score"))
        for source in (path, expected)
    )
    assert predicted == labelled
    net.calls.clear()
    run_steps(net, nameless, path, build_plan())
    assert net.calls == []


def test_failing_image_is_a_row_and_does_not_stop_the_others(
    net: Net, items: list[Item], tmp_path: Path
):
    path = tmp_path / "rows.jsonl"
    good = items[0].path.read_bytes()
    items[0].path.write_bytes(b"no image")
    items[1].path.unlink()
    steps = run_steps(net, items, path, build_plan())
    assert sum(step.units for step in steps) == 10
    errors = find_rows(path, status="error")
    assert [row["image"] for row in errors] == ["0.png", "1.png"]
    assert "not an image" in errors[0]["error"]
    assert "no such file" in errors[1]["error"]
    assert len(find_rows(path, status="done")) == 3 * 5
    before = path.read_bytes()
    run_steps(net, items, path, build_plan())
    assert path.read_bytes() == before
    items[0].path.write_bytes(good)  # another image now: its rows are made
    steps = run_steps(net, items, path, build_plan())
    assert {row["image"] for step in steps for row in step.rows} == {"0.png"}


def test_classifier_that_cannot_run_ends_the_study_and_leaves_no_row(
    items: list[Item], tmp_path: Path
):
    def broken(images: Images) -> Scores:
        raise ModelError("no such operator")

    path = tmp_path / "rows.jsonl"
    with pytest.raises(ModelError, match="no such operator"):
        run_steps(Net(broken, SIZE), items, path, build_plan())
    assert path.read_bytes() == b""


def test_image_without_a_box_fails_localisation_alone(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    outside = replace(items[0], boxes=(Box(0, 0, 20, 1),))  # beside the centre square
    metrics = ("localisation", "deletion:step=32", "pointing")
    run_steps(net, [outside, items[1]], path, build_plan(metrics=metrics))
    failed = find_rows(path, status="error")
    assert {(row["image"], row["metric"]) for row in failed} == {
        ("0.png", "localisation"),
        ("0.png", "pointing"),
    }
    assert all("needs a box" in row["error"] and row["value"] is None for row in failed)
    assert len(find_rows(path, image="0.png", metric="deletion", status="done")) == 2


@dataclass(frozen=True)
class Moody(Parametrised):
    """A method and a fill that fail for images with a dark corner."""

    name: ClassVar[str] = "moody"
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = "black"
    above: Annotated[float, Param("brightness of the corner")] = 0.5

    def evaluations(self, size: Size) -> int:
        return 0

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        yield from ()
        self.prepare(case.image, rng)
        return Attribution(case.image[..., 1])

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        if image[0, 0, 1] <= self.above:
            raise RuntimeError("too dark")
        return image


def test_failing_method_is_an_error_of_its_rows(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    for i, item in enumerate(items):
        pixels = reddish(i, *SIZE)
        pixels[0, 0, 1] = 255 * (i % 2)
        save(item.path, pixels)
    items = [replace(item, size=SIZE) for item in items]
    (sp,) = make_explainers(build_plan(METHODS[:1]), fail_to_load)
    study_plan = [sp, Explainer(Moody(), "moody", sp.fill)]
    list(study_classifier(net, items, study_plan, make_judges(build_plan()), RowFile(path)))
    assert len(find_rows(path, method="sp", status="done")) == 10
    for metric in ("deletion", "localisation"):
        failed = find_rows(path, method="moody", metric=metric, status="error")
        assert [row["image"] for row in failed] == ["0.png", "2.png", "4.png"]
        assert failed[0]["error"] == "RuntimeError: too dark"


def test_fill_that_fails_in_a_metric_fails_that_metric_alone(
    net: Net, items: list[Item], tmp_path: Path
):
    path = tmp_path / "rows.jsonl"
    save(items[0].path, np.full((*SIZE, 3), (255, 0, 0), np.uint8))
    study_plan = build_plan(METHODS[:1], ("insertion:step=64", "deletion:step=64", "morf"))
    insertion, deletion, morf = make_judges(study_plan)
    deletion = deletion._replace(metric=Deletion(step=64, fill=Moody()))
    explainers = make_explainers(study_plan, fail_to_load)
    list(study_classifier(net, items[:1], explainers, [insertion, deletion, morf], RowFile(path)))
    rows = {row["metric"]: row for row in find_rows(path, kind="score")}
    status = {metric: row["status"] for metric, row in rows.items()}
    assert status == {"insertion": "done", "deletion": "error", "morf": "done"}
    assert rows["deletion"]["error"] == "RuntimeError: too dark"


def test_failed_rows_are_done_again_with_retry(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    (sp,) = make_explainers(build_plan(METHODS[:1]), fail_to_load)
    bad = [Explainer(Moody(above=2), "moody", sp.fill)]
    list(study_classifier(net, items, bad, make_judges(build_plan()), RowFile(path)))
    again = list(
        study_classifier(
            net, items, bad, make_judges(build_plan()), RowFile(path), Rules(retry=True)
        )
    )
    assert sum(len(step.rows) for step in again) == 10
    assert len(find_rows(path, kind="image")) == 5


@dataclass(eq=False)
class Sloped(Net):
    """A net with gradients that counts how often they are made."""

    made: int = 0

    def gradients(self) -> Differentiable:
        self.made += 1
        return CurvedGradients(self.weights)

    @property
    def weights(self) -> Any:
        return np.random.default_rng(2).normal(size=(*SIZE, 3, 2)).astype(np.float32) / 40


def test_gradients_are_made_once_for_all_methods(items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    net = Sloped(None, SIZE)
    net.function = curved(net.weights)
    study_plan = build_plan(
        (
            "sp:patch=8",
            "mp:n_steps=2,grid=4",
            "fido:n_steps=2,grid=4",
            "mp:n_steps=2,grid=4,estimator=spsa",
        )
    )
    run_steps(net, items[:2], path, study_plan, only_correct=False)
    assert net.made == 1
    used = {
        (row["method"], row["method_parameters"].get("estimator"))
        for row in find_rows(path, kind="score", status="done")
    }
    assert used == {("sp", None), ("mp", "gradient"), ("fido", "gradient"), ("mp", "spsa")}


def test_methods_do_without_gradients_if_there_are_none(
    net: Net, items: list[Item], tmp_path: Path
):
    path = tmp_path / "rows.jsonl"
    run_steps(net, items[:1], path, build_plan(("mp:n_steps=2,n_pairs=2,grid=4",)))
    assert {row["method_parameters"]["estimator"] for row in find_rows(path, kind="score")} == {
        "spsa"
    }
    with pytest.raises(ModelError, match="has no gradients"):
        run_steps(net, items[:1], path, build_plan(("mp:grid=4", "mp:grid=4,estimator=gradient")))


def test_memory_does_not_grow_with_the_number_of_images(
    net: Net, items: list[Item], tmp_path: Path
):
    n = 60
    paths = [tmp_path / f"photo{i}.png" for i in range(n)]
    for path in paths:
        path.write_bytes(items[0].path.read_bytes())
    many = [replace(items[0], file=path.name, path=path) for path in paths]
    study_plan, store = (
        build_plan(("sp:patch=8,stride=8",), ("localisation",)),
        RowFile(tmp_path / "rows"),
    )
    explainers, judges = make_explainers(study_plan, fail_to_load), make_judges(study_plan)
    held = []
    tracemalloc.start()
    for _ in study_classifier(net, many, explainers, judges, store):  # two steps per image
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    # The least of many steps, as the number of images under way varies. Twenty photos of
    # 20 x 24 pixels are 115 KB as floats; a key takes some 200 bytes.
    assert min(held[70:110]) - min(held[30:70]) < 30_000


def test_merged_parts_are_the_whole(net: Net, items: list[Item], tmp_path: Path):
    run_steps(net, items, tmp_path / "whole.jsonl", build_plan())
    parts = [tmp_path / f"{i}.jsonl" for i in range(2)]
    for i, part in enumerate(parts):
        run_steps(net, items[i::2], part, build_plan())
    merge_rows(parts, tmp_path / "all.jsonl")
    assert index_rows(tmp_path / "all.jsonl") == index_rows(tmp_path / "whole.jsonl")
    net.calls.clear()
    run_steps(net, items, tmp_path / "all.jsonl", build_plan())
    assert net.calls == []


def test_scored_images_and_filled_holes_are_reported_as_they_come(
    net: Net, items: list[Item], tmp_path: Path
):
    reports: list[tuple[int, int]] = []
    study_plan = build_plan(
        ("sp:patch=4,stride=4",), ("deletion:step=32",), fills=(Entry("telea"),)
    )
    progress = {"on_progress": lambda scored, filled: reports.append((scored, filled))}
    run_steps(net, items, tmp_path / "rows.jsonl", study_plan, **progress)
    scored, filled = map(sum, zip(*reports, strict=True))
    patches = (SIZE[0] // 4) * (SIZE[1] // 4)
    assert filled == patches * len(items)
    assert scored > filled
    reports.clear()
    run_steps(net, items, tmp_path / "rows.jsonl", study_plan, **progress)
    assert reports == []


def test_boxes_of_an_image_of_another_shape_fail_where_boxes_are_looked_at(
    net: Net, items: list[Item], tmp_path: Path
):
    """Scaled to the photo, they would lie beside the object."""
    path = tmp_path / "rows.jsonl"
    study_plan = build_plan(METHODS[:1])
    asked = [items[0], replace(items[1], size=(24, 20)), replace(items[2], size=(10, 12))]
    explainers, judges = make_explainers(study_plan, fail_to_load), make_judges(study_plan)
    list(study_classifier(net, asked, explainers, judges, RowFile(path)))
    status = {(row["image"], row["metric"]): row["status"] for row in find_rows(path, kind="score")}
    assert {key for key, value in status.items() if value != "done"} == {("1.png", "localisation")}
    (failed,) = find_rows(path, kind="score", status="error")
    assert "an image of 24x20 and the photo has 20x24" in failed["error"]
    assert "lies on its side" in failed["error"]
