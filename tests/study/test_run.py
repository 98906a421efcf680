"""Studies of small photos: what rows say, and what is done again."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence
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
from onnxplain.registry import Entry, parse_entry
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import Explainer, make_explainers
from onnxplain.study.given import Given
from onnxplain.study.judges import make_judges
from onnxplain.study.labels import find_known_items
from onnxplain.study.plan import Plan
from onnxplain.study.rows import Row, RowFile, merge_rows, read_rows
from onnxplain.study.run import Step, study_classifier
from tests.helpers.nets import CurvedGradients, Net, curved
from tests.study.conftest import SIZE, reddish, save

METHODS = ("sp:patch=4,stride=4", "rise:n_masks=30,grid=4")
METRICS = ("deletion:step=32", "localisation")


def no_inpainter() -> Any:
    raise AssertionError("no fill here paints")


def plan(methods: Sequence[str] = METHODS, metrics: Sequence[str] = METRICS, **more: Any) -> Plan:
    return Plan(
        methods=tuple(map(parse_entry, methods)), metrics=tuple(map(parse_entry, metrics)), **more
    )


def steps(
    net: Net, items: Sequence[Item], path: Path, what: Plan, **options: Any
) -> tuple[Step, ...]:
    asked = make_explainers(what, no_inpainter)
    return tuple(
        study_classifier(
            net, items, asked, make_judges(what), RowFile(path), seed=what.seed, **options
        )
    )


def by_key(path: Path) -> dict[str, Row]:
    rows = list(read_rows(path))
    assert len({row["key"] for row in rows}) == len(rows)
    return {row["key"]: row for row in rows}


def of(path: Path, **wanted: object) -> list[Row]:
    return [
        row
        for row in read_rows(path)
        if all(row.get(name) == value for name, value in wanted.items())
    ]


def test_rows_hold_what_explaining_and_judging_one_image_gives(
    net: Net, items: list[Item], tmp_path: Path
):
    path = tmp_path / "rows.jsonl"
    what = plan(
        fills=(Entry("white"),),
        metrics=("deletion:step=32,fill=black", "insertion:step=32", "localisation"),
        seed=5,
    )
    steps(net, items, path, what)
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
                (found,) = of(path, image=item.file, method=method.name, metric=metric.name)
                assert found["value"] == pytest.approx(expected.value, abs=1e-6)
                assert found["status"] == "done"
    (one,) = of(path, kind="image", image="3.png")
    assert (one["predicted"], one["predicted_name"], one["status"]) == (1, "yes", "done")


def test_steps_tell_every_row_and_every_unit(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    first = steps(net, items, path, plan())
    again = steps(net, items, path, plan())
    for found in (first, again):
        assert sum(step.units for step in found) == 5 * 2
        assert {key for step in found for key in step.keys} == set(by_key(path))
    told = [row["key"] for step in first for row in step.rows]
    assert sorted(told) == sorted(by_key(path))
    assert not any(step.rows for step in again)
    assert len(by_key(path)) == 5 * (1 + 2 * 2)


def test_finished_study_asks_the_classifier_nothing(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    steps(net, items, path, plan())
    before = path.read_bytes()
    net.calls.clear()
    steps(net, items, path, plan())
    assert net.calls == []
    assert path.read_bytes() == before


@pytest.mark.parametrize("n_steps", [1, 2, 5, 9])
def test_stopped_study_goes_on_and_ends_with_the_same_rows(
    net: Net, items: list[Item], tmp_path: Path, n_steps: int
):
    whole, path = tmp_path / "whole.jsonl", tmp_path / "rows.jsonl"
    steps(net, items, whole, plan())
    what = plan()
    running = study_classifier(
        net, items, make_explainers(what, no_inpainter), make_judges(what), RowFile(path)
    )
    for _ in range(n_steps):
        next(running)
    running.close()
    done = by_key(path)
    with path.open("ab") as file:
        file.write(b'{"key": "cut o')
    steps(net, items, path, plan())
    assert by_key(path) == by_key(whole)
    assert list(by_key(path))[: len(done)] == list(done)


def test_changed_parameter_recomputes_only_what_it_touches(
    net: Net, items: list[Item], tmp_path: Path
):
    path = tmp_path / "rows.jsonl"

    def new(what: Plan) -> set[tuple[str | None, str | None]]:
        found = steps(net, items, path, what)
        return {(r.get("method"), r.get("metric")) for step in found for r in step.rows}

    sp, rise = METHODS
    new(plan())
    assert new(plan((sp, "rise:n_masks=31,grid=4"))) == {
        ("rise", "deletion"),
        ("rise", "localisation"),
    }
    assert new(plan(metrics=("deletion:step=64", "localisation"))) == {
        ("sp", "deletion"),
        ("rise", "deletion"),
    }
    assert new(plan(metrics=("deletion:step=32,fill=white", "localisation"))) == {
        ("sp", "deletion"),
        ("rise", "deletion"),
    }
    assert new(plan((sp, rise, "random"))) == {("random", "deletion"), ("random", "localisation")}
    assert new(plan()) == set()
    every = {(m, k) for m in ("sp", "rise") for k in ("deletion", "localisation")}
    assert new(plan(fills=(Entry("white"),))) == every
    assert new(plan(seed=1)) == every


def test_moved_boxes_touch_localisation_only(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    steps(net, items, path, plan())
    moved = [replace(item, boxes=(Box(0, 0, 9, 9),)) for item in items]
    found = steps(net, moved, path, plan())
    assert {row["metric"] for step in found for row in step.rows} == {"localisation"}


def test_changed_pixels_are_another_image(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    steps(net, items, path, plan())
    save(items[2].path, reddish(99))
    rows = [row for step in steps(net, items, path, plan()) for row in step.rows]
    assert {row["image"] for row in rows} == {"2.png"}
    assert len(rows) == 5


def test_wrongly_classified_images_are_left_out(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    blue = np.zeros((20, 24, 3), np.uint8)
    blue[..., 2] = 255
    save(items[1].path, blue)
    found = steps(net, items, path, plan())
    assert sum(step.units for step in found) == 10
    assert [row["status"] for row in of(path, image="1.png")] == ["wrong"]
    assert of(path, image="1.png")[0]["predicted"] == 0
    found = steps(net, items, path, plan(), only_correct=False)
    assert {row["image"] for step in found for row in step.rows} == {"1.png"}
    assert len(of(path, image="1.png")) == 5
    # What was judged although it was classified wrongly belongs to no study without it.
    keys = {key for step in steps(net, items, path, plan()) for key in step.keys}
    assert not keys & {row["key"] for row in of(path, image="1.png", kind="score")}


def test_image_without_a_label_is_explained_for_the_predicted_class(
    net: Net, items: list[Item], tmp_path: Path
):
    path, expected = tmp_path / "rows.jsonl", tmp_path / "expected.jsonl"
    nameless = [replace(item, label=None) for item in items]
    blue = np.zeros((20, 24, 3), np.uint8)
    blue[..., 2] = 255
    save(items[1].path, blue)
    found = steps(net, nameless, path, plan())
    assert sum(step.units for step in found) == 10
    one = of(path, kind="image", image="1.png")[0]
    assert (one["target"], one["predicted"], one["status"]) == (0, 0, "done")
    steps(net, [replace(items[1], label=0), *items[2:], items[0]], expected, plan())
    told = ("image", "method", "metric", "target", "value")
    made, wanted = (
        sorted(tuple(row[name] for name in told) for row in of(one, kind="score"))
        for one in (path, expected)
    )
    assert made == wanted
    net.calls.clear()
    steps(net, nameless, path, plan())
    assert net.calls == []


def test_failing_image_is_a_row_and_the_others_go_on(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    good = items[0].path.read_bytes()
    items[0].path.write_bytes(b"no image")
    items[1].path.unlink()
    found = steps(net, items, path, plan())
    assert sum(step.units for step in found) == 10
    errors = of(path, status="error")
    assert [row["image"] for row in errors] == ["0.png", "1.png"]
    assert "not an image" in errors[0]["error"]
    assert "no such file" in errors[1]["error"]
    assert len(of(path, status="done")) == 3 * 5
    before = path.read_bytes()
    steps(net, items, path, plan())
    assert path.read_bytes() == before
    items[0].path.write_bytes(good)  # another image now: its rows are made
    found = steps(net, items, path, plan())
    assert {row["image"] for step in found for row in step.rows} == {"0.png"}


def test_classifier_that_cannot_run_ends_the_study_and_leaves_no_row(
    items: list[Item], tmp_path: Path
):
    def broken(images: Images) -> Scores:
        raise ModelError("no such operator")

    path = tmp_path / "rows.jsonl"
    with pytest.raises(ModelError, match="no such operator"):
        steps(Net(broken, SIZE), items, path, plan())
    assert path.read_bytes() == b""


def test_image_without_a_box_fails_localisation_alone(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    outside = replace(items[0], boxes=(Box(0, 0, 20, 1),))  # beside the centre square
    metrics = ("localisation", "deletion:step=32", "pointing")
    steps(net, [outside, items[1]], path, plan(metrics=metrics))
    failed = of(path, status="error")
    assert {(row["image"], row["metric"]) for row in failed} == {
        ("0.png", "localisation"),
        ("0.png", "pointing"),
    }
    assert all("needs a box" in row["error"] and row["value"] is None for row in failed)
    assert len(of(path, image="0.png", metric="deletion", status="done")) == 2


@dataclass(frozen=True)
class Moody(Parametrised):
    """A method that fails for dark corners, and a fill that fails likewise."""

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
    (sp,) = make_explainers(plan(METHODS[:1]), no_inpainter)
    what = [sp, Explainer(Moody(), "moody", sp.fill)]
    list(study_classifier(net, items, what, make_judges(plan()), RowFile(path)))
    assert len(of(path, method="sp", status="done")) == 10
    for metric in ("deletion", "localisation"):
        failed = of(path, method="moody", metric=metric, status="error")
        assert [row["image"] for row in failed] == ["0.png", "2.png", "4.png"]
        assert failed[0]["error"] == "RuntimeError: too dark"


def test_fill_that_fails_in_a_metric_keeps_the_metrics_before(
    net: Net, items: list[Item], tmp_path: Path
):
    path = tmp_path / "rows.jsonl"
    save(items[0].path, np.full((*SIZE, 3), (255, 0, 0), np.uint8))
    what = plan(METHODS[:1], ("insertion:step=64", "deletion:step=64", "localisation"))
    insertion, deletion, localisation = make_judges(what)
    deletion = deletion._replace(metric=Deletion(step=64, fill=Moody()))
    asked = make_explainers(what, no_inpainter)
    list(
        study_classifier(net, items[:1], asked, [insertion, deletion, localisation], RowFile(path))
    )
    status = {row["metric"]: row["status"] for row in of(path, kind="score")}
    assert status == {"insertion": "done", "deletion": "error", "localisation": "error"}


def test_what_failed_is_done_again_when_asked(net: Net, items: list[Item], tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    (sp,) = make_explainers(plan(METHODS[:1]), no_inpainter)
    bad = [Explainer(Moody(above=2), "moody", sp.fill)]
    list(study_classifier(net, items, bad, make_judges(plan()), RowFile(path)))
    again = list(study_classifier(net, items, bad, make_judges(plan()), RowFile(path), retry=True))
    assert sum(len(step.rows) for step in again) == 10
    assert len(of(path, kind="image")) == 5


def test_kept_heatmaps_spare_the_method(net: Net, items: list[Item], tmp_path: Path):
    path, maps = tmp_path / "rows.jsonl", tmp_path / "maps"
    steps(net, items, path, plan(), heatmaps=maps)
    assert len(list(maps.glob("*.npy"))) == 10
    heatmap = onnxplain.explain(
        net, items[2].path, onnxplain.SP(patch=4, stride=4), target=1
    ).heatmap
    (kept,) = maps.glob("2-sp-*.npy")
    assert np.array_equal(np.load(kept), heatmap)
    net.calls.clear()
    more = plan(metrics=(*METRICS, "insertion:step=64", "pointing"))
    steps(net, items, path, more, heatmaps=maps)
    # Each image once, and the five points of ten insertion curves.
    assert sum(net.calls) == 5 + 10 * 5
    other = tmp_path / "other.jsonl"
    steps(net, items, other, more)
    assert by_key(other) == by_key(path)


def test_heatmaps_made_elsewhere_are_judged_and_judged_again_when_they_change(
    net: Net, items: list[Item], tmp_path: Path
):
    path, maps = tmp_path / "rows.jsonl", tmp_path / "theirs"
    maps.mkdir()
    rng = np.random.default_rng(4)
    theirs = [rng.random(SIZE) for _ in items]
    for item, heatmap in zip(items[:4], theirs, strict=False):
        np.save(maps / f"{item.path.stem}.npy", heatmap)
    what = plan((f"given:folder={maps.name}",))
    asked = [one._replace(method=Given(str(maps))) for one in make_explainers(what, no_inpainter)]

    def made() -> set[str]:
        found = study_classifier(net, items, asked, make_judges(what), RowFile(path))
        return {row["image"] for step in found for row in step.rows}

    assert made() == {item.file for item in items}
    for item, heatmap in zip(items[:4], theirs, strict=False):
        expected = judge(Deletion(step=32), net, item.path, heatmap, 1)
        (found,) = of(path, image=item.file, metric="deletion")
        assert found["value"] == pytest.approx(expected.value, abs=1e-6)
    failed = of(path, image="4.png", status="error")
    assert [row["metric"] for row in failed] == ["deletion", "localisation"]
    assert "4.npy: cannot be read: No such file" in failed[0]["error"]
    assert made() == set()
    np.save(maps / "1.npy", theirs[0])
    np.save(maps / "4.npy", theirs[4][:8])
    assert made() == {"1.png", "4.png"}
    assert "has shape (8, 16)" in of(path, image="4.png", status="error")[-1]["error"]


def test_heatmaps_made_elsewhere_are_found_by_the_path_of_their_image(
    net: Net, items: list[Item], tmp_path: Path
):
    """The name alone gave both images the map of one."""
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
    (one,) = make_explainers(plan(("given",)), no_inpainter)
    path = tmp_path / "rows.jsonl"
    asked = [one._replace(method=given)]
    list(
        study_classifier(
            net, twins, asked, make_judges(plan()), RowFile(path), heatmaps=tmp_path / "kept"
        )
    )
    for item in twins:
        expected = judge(Deletion(step=32), net, item.path, theirs[item.file], 1)
        (found,) = of(path, image=item.file, metric="deletion")
        assert found["value"] == pytest.approx(expected.value, abs=1e-6)


@pytest.mark.parametrize(
    "files", [("x/a.png", "y/a.png"), ("a.png", "x/a.png"), ("a.png", "a.jpg")]
)
def test_heatmap_that_several_images_would_share_is_refused(tmp_path: Path, files: tuple[str, str]):
    given = Given(str(tmp_path))
    given.check(files)  # there is none that they could share
    np.save(tmp_path / "a.npy", np.ones(SIZE))
    given.check((files[0], files[0]))  # an image of two classes
    with pytest.raises(ValueError, match=f"would be the heatmap of {files[0]} and of {files[1]}"):
        given.check(files)


@dataclass(eq=False)
class Sloped(Net):
    """A net with gradients, which counts how often they are made."""

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
    what = plan(
        (
            "sp:patch=8",
            "mp:n_steps=2,grid=4",
            "fido:n_steps=2,grid=4",
            "mp:n_steps=2,grid=4,estimator=spsa",
        )
    )
    steps(net, items[:2], path, what, only_correct=False)
    assert net.made == 1
    used = {
        (row["method"], row["method_parameters"].get("estimator"))
        for row in of(path, kind="score", status="done")
    }
    assert used == {("sp", None), ("mp", "gradient"), ("fido", "gradient"), ("mp", "spsa")}


def test_methods_go_without_gradients_where_there_are_none(
    net: Net, items: list[Item], tmp_path: Path
):
    path = tmp_path / "rows.jsonl"
    steps(net, items[:1], path, plan(("mp:n_steps=2,n_pairs=2,grid=4",)))
    assert {row["method_parameters"]["estimator"] for row in of(path, kind="score")} == {"spsa"}
    with pytest.raises(ModelError, match="has no gradients"):
        steps(net, items[:1], path, plan(("mp:grid=4", "mp:grid=4,estimator=gradient")))


def test_memory_does_not_grow_with_the_number_of_images(
    net: Net, items: list[Item], tmp_path: Path
):
    n = 60
    paths = [tmp_path / f"photo{i}.png" for i in range(n)]
    for path in paths:
        path.write_bytes(items[0].path.read_bytes())
    many = [replace(items[0], file=path.name, path=path) for path in paths]
    what, store = plan(("sp:patch=8,stride=8",), ("localisation",)), RowFile(tmp_path / "rows")
    held = {}
    tracemalloc.start()
    for i, _ in enumerate(
        study_classifier(net, many, make_explainers(what, no_inpainter), make_judges(what), store)
    ):
        if i in (40, 80):  # two steps an image
            gc.collect()
            held[i], _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Twenty photos of 20 x 24 pixels are 115 KB as floats; a key takes some 200 bytes.
    assert held[80] - held[40] < 30_000


def test_damaged_heatmap_is_made_again(net: Net, items: list[Item], tmp_path: Path):
    maps = tmp_path / "maps"
    steps(net, items, tmp_path / "a.jsonl", plan(), heatmaps=maps)
    good = {path: path.read_bytes() for path in maps.iterdir()}
    for path in good:
        path.write_bytes(good[path][:200])
    steps(net, items, tmp_path / "b.jsonl", plan(), heatmaps=maps)
    assert by_key(tmp_path / "b.jsonl") == by_key(tmp_path / "a.jsonl")
    assert {path: path.read_bytes() for path in maps.iterdir()} == good


def test_merged_parts_are_the_whole(net: Net, items: list[Item], tmp_path: Path):
    steps(net, items, tmp_path / "whole.jsonl", plan())
    parts = [tmp_path / f"{i}.jsonl" for i in range(2)]
    for i, part in enumerate(parts):
        steps(net, items[i::2], part, plan())
    merge_rows(parts, tmp_path / "all.jsonl")
    assert by_key(tmp_path / "all.jsonl") == by_key(tmp_path / "whole.jsonl")
    net.calls.clear()
    steps(net, items, tmp_path / "all.jsonl", plan())
    assert net.calls == []


def test_labels_are_looked_up_and_unknown_ones_counted():
    def item(label: int | str | None) -> Item:
        return Item("a", Path("a"), label)

    known = find_known_items(
        map(item, ["kitty", 1, "mouse", "2", "mouse", 3, -1]), ["cat, kitty", "dog", "bird"]
    )
    assert [one.label for one in known.items] == [0, 1, 2]
    assert find_known_items([item(None)], ["cat"]) == ([item(None)], {}, {})
    assert known.unknown == {"mouse": 2, "3": 1, "-1": 1}


def test_one_of_the_names_of_a_label_is_enough_if_it_is_of_one_class():
    names = ["garter snake", "crane (bird)", "crane (machine)", "sea_snake", "Garter, sea snake"]

    def of(label: str) -> list[int | str | None]:
        return [one.label for one in find_known_items([Item("a", Path("a"), label)], names).items]

    assert of("garter snake, grass snake") == [0]
    assert of("Crane (bird), wader") == [1]
    assert of("crane, wader") == of("sea snake, garter snake") == of("1, 5") == []


def test_name_decides_where_the_index_is_another_class():
    """Networks of 1001 classes have one before ImageNet's first."""
    names = ["background", "sea snake", "green mamba, mamba", "crane (bird)", "crane (machine)"]
    labels = (
        *((0, "Sea snake, serpent"), (1, "green mamba"), (2, "crane"), (9, "mamba")),
        *((3, "crane"), (4, "crane"), (2, "mamba"), (3, "12"), (4, None)),
    )
    items = [Item("a", Path("a"), label, class_name=name) for label, name in labels]
    known = find_known_items(items, names)
    assert [one.label for one in known.items] == [1, 2, 2, 3, 4, 2, 4]
    assert known.unknown == {"2 (crane)": 1, "3 (12)": 1}
    assert list(known.disputed) == [
        "0 is background and not Sea snake, serpent",
        "1 is sea snake and not green mamba",
        "2 is green mamba, mamba and not crane",
        "9 is no class and not mamba",
        "3 is crane (bird) and not 12",
    ]
    by_index = find_known_items(items, names, named=False)
    assert [one.label for one in by_index.items] == [0, 1, 2, 3, 4, 2, 3, 4]
    assert by_index.unknown == {"9": 1}
    assert not by_index.disputed


def test_scored_images_and_filled_holes_are_told_as_they_come(
    net: Net, items: list[Item], tmp_path: Path
):
    told: list[tuple[int, int]] = []
    what = plan(("sp:patch=4,stride=4",), ("deletion:step=32",), fills=(Entry("telea"),))
    progress = {"on_progress": lambda scored, filled: told.append((scored, filled))}
    steps(net, items, tmp_path / "rows.jsonl", what, **progress)
    scored, filled = map(sum, zip(*told, strict=True))
    patches = (SIZE[0] // 4) * (SIZE[1] // 4)
    assert filled == patches * len(items)
    assert scored > filled
    told.clear()
    steps(net, items, tmp_path / "rows.jsonl", what, **progress)
    assert told == []
