"""What the modes of MP2 cost, and what their masks are worth beside those of `full`.

    python -m benchmarks.mp2_modes run ROWS.jsonl --images DIR --annotations labels.csv
    python -m benchmarks.mp2_modes table ROWS.jsonl   # as in benchmarks/results/mp2_modes.md

`run` appends a line for every set, image and mode as soon as it is done, and leaves out what is
there already, so that it can be stopped and started at any time; `--set` and `--mode` pick
some. The set `quantised` takes a MobileNet V2 1.0 of 224 px with 8-bit weights, `--quantised FILE`.
`table` prints Markdown.

Each set takes the first correctly classified photos of one seeded draw, all with the same limit
of area, without which `full` could not be afforded. One photo runs at a time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import onnxplain
from benchmarks.common import machine, seconds
from onnxplain.core.data import Attribution, Case, make_rng
from onnxplain.engine import run as engine
from onnxplain.engine.run import Job, Outcome, make_jobs
from onnxplain.engine.settle import settle_method
from onnxplain.fills import Blur, DatasetMean
from onnxplain.image import MAX_PIXELS
from onnxplain.methods import MP2
from onnxplain.metrics import Deletion
from onnxplain.runtime import OnnxClassifier
from onnxplain.study.dataset import Item, draw_sample, read_items
from onnxplain.study.statistics import sign_flip_test
from onnxplain.subjects import name_images, read_subject

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
QUANTISED = "quantised"
SETS = {
    "14": Set(LITE0, 14, 0.2, 40),
    QUANTISED: Set("mobilenet_v2_1.0_224_quant", 14, 0.2, 10, shift=1, by_gradient=False),
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
    for item in draw_sample(items, len(items), SEED):
        if found == one.skip + one.n_photos:
            return
        if item.file in seen:
            continue
        seen.add(item.file)
        target = int(item.label) + one.shift
        (named,) = name_images([item.path])
        subject = read_subject(classifier, named, max_pixels=MAX_PIXELS)
        if int(np.argmax(subject.probabilities)) != target:
            continue
        found += 1
        if found > one.skip:
            yield Photo(item.file, subject.case(target), float(subject.probabilities[target]))


def explain(
    photo: Photo, method: MP2, classifier: OnnxClassifier
) -> tuple[Outcome[Attribution], float, float]:
    """How it ended, its seconds by the clock, and those of the processor (all threads)."""
    settled, gradients = settle_method(method, classifier)
    jobs = make_jobs(settled, [photo.case], Blur(), SEED)
    outcomes: list[Outcome[Attribution]] = []
    cpu = time.process_time()
    clock = seconds(lambda: outcomes.extend(engine.run(classifier, jobs, gradients=gradients)))
    (outcome,) = outcomes
    if outcome.error:
        raise outcome.error
    return outcome, clock, time.process_time() - cpu


def judge(photo: Photo, found: Attribution, classifier: OnnxClassifier) -> dict[str, float]:
    """Deletion AUC of the order map, with the fill that it was made with and with the mean."""
    fills = {"deletion": Blur(), "deletion_mean": DatasetMean()}
    jobs = [
        Job((photo.case,), (Deletion().flow(photo.case, found.heatmap, make_rng(SEED)),), fill)
        for fill in fills.values()
    ]
    values = {one.job: one.values[0].value for one in engine.run(classifier, jobs)}
    return {name: values[job] for name, job in zip(fills, jobs, strict=True)}


def run(args: argparse.Namespace) -> None:
    items = read_items(args.images, args.annotations)
    done = {key(row) for row in rows(args.rows)}
    for name in args.set or [name for name in SETS if name != QUANTISED or args.quantised]:
        one = SETS[name]
        classifier = onnxplain.load(args.quantised if name == QUANTISED else one.model)
        for photo in islice(photos(one, classifier, items), args.photos):
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


def table(args: argparse.Namespace) -> None:
    found = rows(args.rows)
    parts = [HEAD.format(machine=machine())]
    for name in SETS:
        by_photo: dict[str, dict[str, dict[str, Any]]] = {}
        for row in found:
            if row["set"] == name:  # a later line of the same photo and mode wins
                by_photo.setdefault(row["parameters"]["file"], {})[row["mode"]] = row
        whole = {file: done for file, done in by_photo.items() if "full" in done}
        modes = [mode for mode in MODES if any(mode in done for done in whole.values())]
        if whole:
            parts += [summary(name, modes, whole), photo_by_photo(modes, whole)]
    print("\n\n".join(parts))


HEAD = """# The modes of MP2

`python -m benchmarks.mp2_modes`; {machine}; CPU, blur fill (sigma 10). Other work ran on the same
cores: seconds are those of the processor, all threads, for one photo at a time. Photos are drawn
by a seed from ImageNet validation photos that the classifier gets right. Every mode stops at the
same limit of area, and is then `exhausted`, so that `full` could be afforded. IoU: of the mask
with `full`'s. Deletion: area under the curve of the order map, with the blur and with the dataset
mean as fill, lower is better; in brackets the p of a paired sign-flip test. Last p: of the class
under the final mask. What a mode is compared with is `full` on the photos that both have."""


def summary(name: str, modes: list[str], photos: dict[str, dict[str, dict[str, Any]]]) -> str:
    """One row a mode: sums and means over the photos."""
    one = SETS[name]
    lines = [
        f"## {Path(one.model).stem}, {one.grid} x {one.grid} cells, at most {one.max_area:.0%}",
        f"{len(photos)} photos of the {one.n_photos} planned"
        + (" (of those that the defaults were chosen on)." if name.startswith("tuning") else "."),
        "| mode | photos | evaluations | of full's | seconds | of full's | mean area | over full's "
        "| exhausted | IoU | deletion | over full's (p) | with mean | over full's | last p |\n|---|"
        + "--:|"
        * 14,
    ]
    for mode in modes:
        both = [done for done in photos.values() if mode in done]
        here, full = ([done[which] for done in both] for which in (mode, "full"))
        asked, cpu, area = (
            (total(here, what), total(full, what))
            for what in ("evaluations", "cpu_seconds", "area")
        )
        overlaps = [iou(a["order"], b["order"]) for a, b in zip(here, full, strict=True)]
        cells = (
            mode,
            f"{len(both)}",
            f"{asked[0]:,.0f}",
            f"1/{asked[1] / asked[0]:.1f}",
            f"{cpu[0]:.0f}",
            f"1/{cpu[1] / cpu[0]:.1f}",
            f"{area[0] / len(here):.4f}",
            f"{area[0] / area[1]:.2f}",
            f"{sum(row['reason'] == 'exhausted' for row in here)}",
            f"{np.mean(overlaps):.2f}",
            *judged(here, full),
            f"{np.mean([row['details']['trajectory'][-1][1] for row in here]):.4f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])


def photo_by_photo(modes: list[str], photos: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Evaluations and final area of every photo; `x` marks the exhausted."""
    lines = ["| photo | p | " + " | ".join(modes) + " |\n|---|--:|" + "--:|" * len(modes)]
    for file, done in photos.items():
        cells = (
            f"{row['evaluations']:,}, {row['area']:.3f}{'x' * (row['reason'] == 'exhausted')}"
            if (row := done.get(mode))
            else "–"
            for mode in modes
        )
        number = Path(file).stem.rpartition("_")[2]
        lines.append(f"| {number} | {done['full']['score']:.3f} | " + " | ".join(cells) + " |")
    return "Evaluations and area of each:\n\n" + "\n".join(lines)


def judged(here: list[dict[str, Any]], full: list[dict[str, Any]]) -> list[str]:
    """Deletion of a mode and over that of `full`, with a paired test; the same with the mean."""
    cells = []
    for what in ("deletion", "deletion_mean"):
        ratio = total(here, what) / total(full, what)
        gaps = np.array([a[what] - b[what] for a, b in zip(here, full, strict=True)])
        p = ""
        if what == "deletion" and gaps.any():
            p = f" ({sign_flip_test(gaps, np.random.default_rng(SEED)):.2f})"
        cells += [f"{total(here, what) / len(here):.4f}", f"{ratio:.2f}{p}"]
    return cells


def total(photos: list[dict[str, Any]], what: str) -> float:
    return float(sum(row[what] for row in photos))


def iou(one: list[int], other: list[int]) -> float:
    """Of two masks as cells; 1 where both are empty."""
    union = set(one) | set(other)
    return len(set(one) & set(other)) / len(union) if union else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run")
    runs.add_argument("rows", type=Path)
    runs.add_argument("--images", type=Path, required=True)
    runs.add_argument("--annotations", type=Path, required=True)
    runs.add_argument("--quantised", type=Path, help="ONNX file of the set of that name")
    runs.add_argument("--set", action="append", choices=list(SETS))
    runs.add_argument("--mode", action="append", choices=list(MODES))
    runs.add_argument("--photos", type=int, help="at most so many of each set")
    runs.set_defaults(call=run)
    tables = commands.add_parser("table")
    tables.add_argument("rows", type=Path)
    tables.set_defaults(call=table)
    args = parser.parse_args()
    if QUANTISED in (getattr(args, "set", None) or ()) and not args.quantised:
        parser.error(f"--set {QUANTISED} needs its model: --quantised FILE")
    args.call(args)


if __name__ == "__main__":
    main()
