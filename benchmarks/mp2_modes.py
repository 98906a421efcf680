"""Cost of MP2's modes, and quality of their masks compared with those of `full`.

    python -m benchmarks.mp2_modes run ROWS.jsonl --images DIR --annotations labels.csv
    python -m benchmarks.mp2_modes table ROWS.jsonl   # as in benchmarks/results/mp2_modes.md

`run` appends a line for every set, photo and mode as soon as it is done, and skips work whose line
exists, so that it can be stopped and started at any time. `--set` and `--mode` select some sets
and modes. The set `quantised` needs a MobileNet V2 1.0 of 224 px with 8-bit weights, given by
`--quantised FILE`. `table` prints Markdown.

Each set uses the first correctly classified photos of one seeded draw, and one limit of area for
all modes; without a limit, `full` asks for up to three times as much. One photo is explained at a
time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import onnxplain
from benchmarks.common import add_table_command, describe_machine, measure_seconds, read_rows
from onnxplain.core.data import Attribution, Case, make_rng
from onnxplain.core.protocols import Fill
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
GRADIENT_MODES = ("propose", "gradient")


@dataclass(frozen=True)
class PhotoSet:
    """A set of photos, its classifier, and the grid and the largest area of the masks.

    The first `skip` photos of the draw are left out, because other sets use them: modes are not
    tuned on photos that are reported.
    """

    model: str
    grid: int
    max_area: float
    n_photos: int
    skip: int = 0
    shift: int = 0  # from a label to the classifier's class (1 if there is a background class)
    has_gradients: bool = True


LITE0 = "efficientnet-lite0"
QUANTISED = "quantised"
SETS = {
    "14": PhotoSet(LITE0, 14, 0.2, 40),
    "14-whole": PhotoSet(LITE0, 14, 1.0, 20),  # hardly a run ends exhausted, which leaves ties
    QUANTISED: PhotoSet("mobilenet_v2_1.0_224_quant", 14, 0.2, 10, shift=1, has_gradients=False),
    "28": PhotoSet(LITE0, 28, 0.08, 12),
    "tuning-14": PhotoSet(LITE0, 14, 0.2, 8, skip=40),
    "tuning-28": PhotoSet(LITE0, 28, 0.08, 4, skip=40),
}


class Photo(NamedTuple):
    """A photo of a set, ready to be explained."""

    file: str
    case: Case
    score: float


def draw_photos(
    photo_set: PhotoSet, classifier: OnnxClassifier, items: list[Item]
) -> Iterator[Photo]:
    """Yield the correctly classified photos of a set, in the order of the draw."""
    seen: set[str] = set()
    n_correct = 0
    for item in draw_sample(items, len(items), SEED):
        if n_correct == photo_set.skip + photo_set.n_photos:
            return
        if item.file in seen:
            continue
        seen.add(item.file)
        target = int(str(item.label)) + photo_set.shift
        (named,) = name_images([item.path])
        subject = read_subject(classifier, named, max_pixels=MAX_PIXELS)
        if int(np.argmax(subject.probabilities)) != target:
            continue
        n_correct += 1
        if n_correct > photo_set.skip:
            boxes = tuple(map(subject.frame.box, item.boxes_in(subject.frame.original)))
            case = replace(subject.case(target), boxes=boxes)
            yield Photo(item.file, case, float(subject.probabilities[target]))


def explain(
    photo: Photo, method: MP2, classifier: OnnxClassifier
) -> tuple[Outcome[Attribution], float, float]:
    """Explain a photo; return the outcome, the wall-clock seconds, and the CPU seconds."""
    settled, gradients = settle_method(method, classifier)
    jobs = make_jobs(settled, [photo.case], Blur(), SEED)
    outcomes: list[Outcome[Attribution]] = []
    cpu = time.process_time()
    wall = measure_seconds(
        lambda: outcomes.extend(engine.run(classifier, jobs, gradients=gradients))
    )
    (outcome,) = outcomes
    if outcome.error:
        raise outcome.error
    return outcome, wall, time.process_time() - cpu


def judge(photo: Photo, attribution: Attribution, classifier: OnnxClassifier) -> dict[str, float]:
    """Judge the order map by the deletion AUC, with the method's blur and with the mean fill."""
    fills: dict[str, Fill] = {"deletion": Blur(), "deletion_mean": DatasetMean()}
    jobs = [
        Job(
            (photo.case,), (Deletion().flow(photo.case, attribution.heatmap, make_rng(SEED)),), fill
        )
        for fill in fills.values()
    ]
    values = {outcome.job: outcome.values[0].value for outcome in engine.run(classifier, jobs)}
    return {name: values[job] for name, job in zip(fills, jobs, strict=True)}


def run_sets(args: argparse.Namespace) -> None:
    """Explain and judge every photo of the chosen sets by the chosen modes; append the rows."""
    items = read_items(args.images, args.annotations)
    done = {make_key(row) for row in read_rows(args.rows)}
    for name in args.set or [name for name in SETS if name != QUANTISED or args.quantised]:
        photo_set = SETS[name]
        model = args.quantised if name == QUANTISED else photo_set.model
        classifier = onnxplain.load(model, device=args.device)
        for photo in islice(draw_photos(photo_set, classifier, items), args.photos):
            for mode in args.mode or MODES:
                if mode in GRADIENT_MODES and not photo_set.has_gradients:
                    continue
                method = MP2(grid=photo_set.grid, max_area=photo_set.max_area, **MODES[mode])
                parameters = {**asdict(method), "file": photo.file}
                if (name, mode, json.dumps(parameters)) in done:
                    continue
                row = {"set": name, "mode": mode, "parameters": parameters, "score": photo.score}
                row |= measure_photo(photo, method, classifier)
                with args.rows.open("a") as file:
                    file.write(json.dumps(row) + "\n")


def measure_photo(photo: Photo, method: MP2, classifier: OnnxClassifier) -> dict[str, Any]:
    """Explain and judge a photo; return the cost, the mask and the deletion AUCs."""
    outcome, wall, cpu = explain(photo, method, classifier)
    (attribution,) = outcome.values
    assert attribution.order is not None
    return {
        "evaluations": outcome.evaluations,
        "seconds": wall,
        "cpu_seconds": cpu,
        "area": attribution.details["area"],
        "reason": attribution.details["reason"],
        "order": attribution.order.tolist(),
        "details": {name: value for name, value in attribution.details.items() if name != "gains"},
        **judge(photo, attribution, classifier),
    }


def make_key(row: dict[str, Any]) -> tuple[str, str, str]:
    """Return the key of a row: its set, mode and parameters."""
    return row["set"], row["mode"], json.dumps(row["parameters"])


def print_tables(args: argparse.Namespace) -> None:
    """Print the tables of every set that has rows, as Markdown."""
    rows = read_rows(args.rows)
    parts = [HEAD.format(machine=describe_machine())]
    for name in SETS:
        by_photo: dict[str, dict[str, dict[str, Any]]] = {}
        for row in rows:
            if row["set"] == name:  # a later line of the same photo and mode wins
                by_photo.setdefault(row["parameters"]["file"], {})[row["mode"]] = row
        photos = {file: by_mode for file, by_mode in by_photo.items() if "full" in by_mode}
        modes = [mode for mode in MODES if any(mode in by_mode for by_mode in photos.values())]
        if photos:
            parts += [format_summary(name, modes, photos), format_photos(modes, photos)]
    print("\n\n".join(parts))


HEAD = """# The modes of MP2

`python -m benchmarks.mp2_modes`; {machine}; CPU, blur fill (sigma 10). Other work ran on the same
cores, so seconds are CPU seconds of all threads, for one photo at a time. The photos are a seeded
draw from those ImageNet validation photos that the classifier gets right. All modes of a
set stop at the same limit of area; a mode that reached it is `exhausted`.
IoU: of the mode's mask with the mask of `full`. Deletion: area under the deletion curve of the
order map, filled with the blur ("with mean": with the dataset mean), lower is better; in brackets
the p of a paired sign-flip test. Last p: probability of the class under the final mask. Each mode
is compared with `full` on the photos that both have."""


def format_summary(
    name: str, modes: list[str], photos: dict[str, dict[str, dict[str, Any]]]
) -> str:
    """Format a table with one row per mode: sums and means over the photos."""
    photo_set = SETS[name]
    grid = f"{photo_set.grid} x {photo_set.grid} cells"
    limit = f"at most {photo_set.max_area:.0%}" if photo_set.max_area < 1 else "without a limit"
    lines = [
        f"## {photo_set.model}, {grid}, {limit}",
        f"{len(photos)} photos of the {photo_set.n_photos} planned"
        + (
            " (from those on which the defaults were chosen)." if name.startswith("tuning") else "."
        ),
        "| mode | photos | evaluations | of full's | seconds | of full's | mean area | over full's "
        "| exhausted | IoU | deletion | over full's (p) | with mean | over full's | last p |\n|---|"
        + "--:|"
        * 14,
    ]
    for mode in modes:
        shared = [by_mode for by_mode in photos.values() if mode in by_mode]
        rows, full_rows = ([by_mode[key] for by_mode in shared] for key in (mode, "full"))
        evaluations, cpu, area = (
            (sum_up(rows, key), sum_up(full_rows, key))
            for key in ("evaluations", "cpu_seconds", "area")
        )
        overlaps = [
            compute_iou(row["order"], full["order"])
            for row, full in zip(rows, full_rows, strict=True)
        ]
        cells = (
            mode,
            f"{len(shared)}",
            f"{evaluations[0]:,.0f}",
            f"1/{evaluations[1] / evaluations[0]:.1f}",
            f"{cpu[0]:.0f}",
            f"1/{cpu[1] / cpu[0]:.1f}",
            f"{area[0] / len(rows):.4f}",
            f"{area[0] / area[1]:.2f}",
            f"{sum(row['reason'] == 'exhausted' for row in rows)}",
            f"{np.mean(overlaps):.2f}",
            *format_deletion(rows, full_rows),
            f"{np.mean([row['details']['trajectory'][-1][1] for row in rows]):.4f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])


def format_photos(modes: list[str], photos: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Format a table of each photo's evaluations and final area; `x` marks exhausted runs."""
    lines = ["| photo | p | " + " | ".join(modes) + " |\n|---|--:|" + "--:|" * len(modes)]
    for file, by_mode in photos.items():
        cells = (
            f"{row['evaluations']:,}, {row['area']:.3f}{'x' * (row['reason'] == 'exhausted')}"
            if (row := by_mode.get(mode))
            else "–"
            for mode in modes
        )
        number = Path(file).stem.rpartition("_")[2]
        lines.append(f"| {number} | {by_mode['full']['score']:.3f} | " + " | ".join(cells) + " |")
    return "Evaluations and area of each photo:\n\n" + "\n".join(lines)


def format_deletion(rows: list[dict[str, Any]], full_rows: list[dict[str, Any]]) -> list[str]:
    """Format the deletion AUC, its ratio to `full` and a test; then those with the mean fill."""
    cells = []
    for key in ("deletion", "deletion_mean"):
        ratio = sum_up(rows, key) / sum_up(full_rows, key)
        gaps = np.array([row[key] - full[key] for row, full in zip(rows, full_rows, strict=True)])
        p = ""
        if key == "deletion" and gaps.any():
            p = f" ({sign_flip_test(gaps, np.random.default_rng(SEED)):.2f})"
        cells += [f"{sum_up(rows, key) / len(rows):.4f}", f"{ratio:.2f}{p}"]
    return cells


def sum_up(rows: list[dict[str, Any]], key: str) -> float:
    """Return the sum of an entry of all rows."""
    return float(sum(row[key] for row in rows))


def compute_iou(first: list[int], second: list[int]) -> float:
    """Compute the intersection over union of two masks of cells; 1 if both are empty."""
    union = set(first) | set(second)
    return len(set(first) & set(second)) / len(union) if union else 1.0


def main() -> None:
    """Run the sets, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run")
    runs.add_argument("rows", type=Path)
    runs.add_argument("--images", type=Path, required=True)
    runs.add_argument("--annotations", type=Path, required=True)
    runs.add_argument("--quantised", type=Path, help="ONNX file of the set `quantised`")
    runs.add_argument("--set", action="append", choices=list(SETS))
    runs.add_argument("--mode", action="append", choices=list(MODES))
    runs.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    runs.add_argument("--photos", type=int, help="largest number of photos per set")
    runs.set_defaults(call=run_sets)
    add_table_command(commands, print_tables)
    args = parser.parse_args()
    if QUANTISED in (getattr(args, "set", None) or ()) and not args.quantised:
        parser.error(f"--set {QUANTISED} needs its model: --quantised FILE")
    args.call(args)


if __name__ == "__main__":
    main()
