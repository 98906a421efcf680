"""What the modes of MP2 cost, and what their masks are worth beside those of `full`.

    python -m benchmarks.mp2_modes run ROWS.jsonl --images DIR --annotations labels.csv
    python -m benchmarks.mp2_modes table ROWS.jsonl

`run` appends a line for every set, image and mode as soon as it is done, and leaves out what is
there already, so that it can be stopped and started at any time; `--set` and `--mode` pick
some. `table` writes `benchmarks/results/mp2_modes.md`.

Each set takes the first correctly classified photos of one seeded draw, all with the same limit
of area, without which `full` could not be afforded. One photo runs at a time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import onnxplain
from benchmarks.common import seconds
from onnxplain.api import settle
from onnxplain.data import Attribution, Case, generator
from onnxplain.engine import Engine, Job, Outcome
from onnxplain.fills import Blur, DatasetMean
from onnxplain.image import MAX_PIXELS
from onnxplain.methods import MP2
from onnxplain.metrics import Deletion
from onnxplain.runtime import OnnxClassifier
from onnxplain.study.dataset import Item, read_items, sample
from onnxplain.subjects import look, name_all

RESULTS = Path(__file__).parent / "results" / "mp2_modes.md"
SEED = 0
MODES: dict[str, dict[str, Any]] = {
    "full": {"gain": "difference", "sweep": "full"},
    "lazy": {"gain": "difference", "sweep": "lazy"},
    "coarse": {"gain": "difference", "sweep": "coarse"},
    "static": {"gain": "difference", "sweep": "static"},
    "propose": {"gain": "propose"},
    "gradient": {"gain": "gradient"},
}
BY_GRADIENT = ("propose", "gradient")


@dataclass(frozen=True)
class Set:
    """Photos, a classifier, and the mask that is grown on them.

    `skip` photos of the draw are left to other sets: modes are tuned on photos that are not
    reported on.
    """

    model: str
    grid: int
    max_area: float
    n_photos: int
    skip: int = 0
    shift: int = 0  # of the classifier's classes against the labels' (a background class)
    by_gradient: bool = True


LITE0 = "efficientnet-lite0"
QUANTISED = "../shared/models/mobilenet_v2_1.0_224_quant.onnx"
SETS = {
    "14": Set(LITE0, 14, 0.2, 40),
    "quantised": Set(QUANTISED, 14, 0.2, 10, shift=1, by_gradient=False),
    "28": Set(LITE0, 28, 0.08, 12),
    "tuning-14": Set(LITE0, 14, 0.2, 8, skip=40),
    "tuning-28": Set(LITE0, 28, 0.08, 4, skip=40),
}


class Photo(NamedTuple):
    """A photo of a set, ready to be explained."""

    file: str
    case: Case
    score: float


def photos(one: Set, classifier: OnnxClassifier, items: list[Item]) -> Iterator[Photo]:
    """The correctly classified photos of a set, in the order of the draw."""
    seen: set[str] = set()
    found = 0
    for item in sample(items, len(items), SEED):
        if found == one.skip + one.n_photos:
            return
        if item.file in seen:
            continue
        seen.add(item.file)
        target = int(item.label) + one.shift
        (named,) = name_all([item.path])
        subject = look(classifier, named, max_pixels=MAX_PIXELS)
        if int(np.argmax(subject.probabilities)) != target:
            continue
        found += 1
        if found > one.skip:
            yield Photo(item.file, subject.case(target), float(subject.probabilities[target]))


def explain(
    photo: Photo, method: MP2, classifier: OnnxClassifier
) -> tuple[Outcome[Attribution], float, float]:
    """How it ended, its seconds by the clock, and those of the processor (all threads)."""
    settled, gradients = settle(method, classifier)
    flow = settled.flow(photo.case, generator(SEED, photo.case.name, method.name))
    engine = Engine(classifier, gradients=gradients)
    outcomes: list[Outcome[Attribution]] = []
    cpu = time.process_time()
    clock = seconds(lambda: outcomes.extend(engine.run([Job((photo.case,), (flow,), Blur())])))
    (outcome,) = outcomes
    if outcome.error:
        raise outcome.error
    return outcome, clock, time.process_time() - cpu


def judge(photo: Photo, found: Attribution, classifier: OnnxClassifier) -> dict[str, float]:
    """Deletion AUC of the order map, with the fill that it was made with and with the mean."""
    fills = {"deletion": Blur(), "deletion_mean": DatasetMean()}
    jobs = [
        Job((photo.case,), (Deletion().flow(photo.case, found.heatmap, generator(SEED)),), fill)
        for fill in fills.values()
    ]
    values = {one.job: one.values[0].value for one in Engine(classifier).run(jobs)}
    return {name: values[job] for name, job in zip(fills, jobs, strict=True)}


def run(args: argparse.Namespace) -> None:
    items = read_items(args.images, args.annotations)
    done = {key(row) for row in rows(args.rows)}
    for name in args.set or SETS:
        one = SETS[name]
        classifier = onnxplain.load(one.model)
        for photo in photos(one, classifier, items):
            for mode in args.mode or MODES:
                if mode in BY_GRADIENT and not one.by_gradient:
                    continue
                method = MP2(grid=one.grid, max_area=one.max_area, **MODES[mode])
                parameters = {**asdict(method), "file": photo.file}
                if (name, mode, json.dumps(parameters)) in done:
                    continue
                outcome, clock, cpu = explain(photo, method, classifier)
                (found,) = outcome.values
                assert found.order is not None
                row = {
                    "set": name,
                    "mode": mode,
                    "parameters": parameters,
                    "score": photo.score,
                    "evaluations": outcome.evaluations,
                    "seconds": clock,
                    "cpu_seconds": cpu,
                    "area": found.details["area"],
                    "reason": found.details["reason"],
                    "order": found.order.tolist(),
                    "details": {k: v for k, v in found.details.items() if k != "gains"},
                    **judge(photo, found, classifier),
                }
                with args.rows.open("a") as file:
                    file.write(json.dumps(row) + "\n")


def rows(path: Path) -> list[dict[str, Any]]:
    """What is there; a last line that was cut off is not."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["set"], row["mode"], json.dumps(row["parameters"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run")
    runs.add_argument("rows", type=Path)
    runs.add_argument("--images", type=Path, required=True)
    runs.add_argument("--annotations", type=Path, required=True)
    runs.add_argument("--set", action="append", choices=list(SETS))
    runs.add_argument("--mode", action="append", choices=list(MODES))
    runs.set_defaults(call=run)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
