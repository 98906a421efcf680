"""Small photos, a classifier that knows what they show, and helpers for studies and rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from onnxplain.core.data import Box, Images, Scores
from onnxplain.engine.run import EngineProgress
from onnxplain.registry import parse_entry
from onnxplain.study.classifier_study import Rules, Step, study_classifier
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import make_explainers
from onnxplain.study.judges import make_judges
from onnxplain.study.plan import Plan
from onnxplain.study.rows import Row, RowFile, read_rows
from tests.helpers.nets import Net

SIZE = (16, 16)
METHODS = ("sp:patch=4,stride=4", "rise:n_masks=30,grid=4")
METRICS = ("deletion:step=32", "localisation")
SHARE, SEED = 0.4, 2


def red_part(images: Images) -> Scores:
    """Score class 1 ("yes") by how red the image is; some pixels count more."""
    weights = np.linspace(0.5, 1.5, 256).reshape(SIZE)
    score = (images[..., 0] * weights).mean(axis=(1, 2))
    return np.stack([1 - score, score], axis=1)


@pytest.fixture
def net() -> Net:
    return Net(red_part, SIZE)


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
    return path


def reddish(seed: int, rows: int = 20, columns: int = 24) -> NDArray[np.uint8]:
    """Make a photo of class 1: noise with much red."""
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)
    pixels[..., 0] = pixels[..., 0] // 3 + 160
    return pixels


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Five photos of class 1, each with a box in the middle."""
    box = Box(5, 6, 15, 18)
    return [
        Item(f"{i}.png", save(tmp_path / f"{i}.png", reddish(i)), 1, (box,), (20, 24))
        for i in range(5)
    ]


class Painter:
    """An inpainter that changes nothing."""

    batch_size = 1
    provenance = {"inpainter": "painter.onnx", "sha256": "abc"}  # noqa: RUF012

    def inpaint(self, images, masks):
        return images


def fail_to_load() -> Any:
    raise AssertionError("no fill here needs an inpainter")


def build_plan(
    methods: Sequence[str] = METHODS, metrics: Sequence[str] = METRICS, **fields: Any
) -> Plan:
    return Plan(
        methods=tuple(map(parse_entry, methods)),
        metrics=tuple(map(parse_entry, metrics)),
        **fields,
    )


def run_steps(
    net: Net,
    items: Sequence[Item],
    path: Path,
    plan: Plan,
    on_progress: EngineProgress | None = None,
    **options: Any,
) -> tuple[Step, ...]:
    explainers, judges = make_explainers(plan, fail_to_load), make_judges(plan)
    store = RowFile(path)
    rules = Rules(seed=plan.seed, **options)
    return tuple(
        study_classifier(net, items, explainers, judges, store, rules, on_progress=on_progress)
    )


def index_rows(path: Path) -> dict[str, Row]:
    """Return the rows of a file by key, of which no two are equal."""
    rows = list(read_rows(path))
    assert len({row["key"] for row in rows}) == len(rows)
    return {row["key"]: row for row in rows}


def find_rows(path: Path, **wanted: object) -> list[Row]:
    return [
        row
        for row in read_rows(path)
        if all(row.get(name) == value for name, value in wanted.items())
    ]


def make_score(image: int, value: float | None, method: str = "sp", **fields: Any) -> Row:
    """Make a row that judges a heatmap."""
    return {
        "kind": "score",
        "status": "done",
        "model": "net",
        "model_sha256": "0",
        "preprocessing": {},
        "image": f"{image}.png",
        "target": 1,
        "method": method,
        "fill": "black",
        "method_parameters": {"patch": 5},
        "fill_parameters": {},
        "metric": "deletion",
        "metric_fill": "black",
        "metric_parameters": {"step": 9},
        "metric_fill_parameters": {},
        "direction": "lower",
        "unit": "share",
        "value": value,
        "details": {},
        **fields,
    }
