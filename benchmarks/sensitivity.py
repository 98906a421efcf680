"""How much maps change with patch sizes, seeds, superpixels and mask sizes, by fill.

    python -m benchmarks.sensitivity run ROWS.jsonl --images DIR --annotations labels.csv
    python -m benchmarks.sensitivity table ROWS.jsonl   # results/sensitivity.md

These are the sweeps of tables S1 and S2 of Agarwal & Nguyen, ACCV 2020: plain methods and the same
with an inpainter. Their claim is that maps of generative methods depend less on such choices. `run`
appends a line for each photo, sweep and fill as soon as its maps are compared, and skips work
whose line exists, so that it can be stopped and started at any time.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import onnxplain
from benchmarks.common import add_table_command, describe_machine, read_rows
from benchmarks.mp2_modes import LITE0, SEED, PhotoSet, draw_photos
from benchmarks.sampling import append_row
from onnxplain.core.data import make_rng
from onnxplain.core.protocols import Fill
from onnxplain.fills import Inpaint
from onnxplain.metrics.base import MetricResult
from onnxplain.metrics.comparisons import sweep
from onnxplain.metrics.stability.parameter_sweeps import SWEEPS, Sweep, average_over_images
from onnxplain.study.dataset import read_items
from onnxplain.study.statistics import confidence_interval, sign_flip_test

PHOTOS = PhotoSet(LITE0, 28, 0.2, n_photos=60)
SP_STRIDE, LIME_SAMPLES = 12, 200
METRICS = ("ssim", "hog", "spearman")
# Table S1: ImageNet, ResNet-50; SSIM, HOG and Spearman, plain and with an inpainter.
PAPER = {
    "sp": ((0.698, 0.604, 0.404), (0.781, 0.691, 0.317)),
    "lime-50": ((0.553, 0.848, 0.573), (0.647, 0.896, 0.667)),
    "lime-150": ((0.163, 0.708, 0.155), (0.371, 0.776, 0.379)),
    "mp2": ((0.476, 0.453, 0.522), (0.479, 0.569, 0.698)),
}


def make_sweeps(*, generative: bool) -> dict[str, Sweep]:
    """Return the sweeps of the paper with fewer evaluations, so that one CPU can pay for them.

    Patches 43 px apart share an inpaint, and MP2-G looks ahead in every 16th step.
    """
    fields: dict[str, dict[str, Any]] = {
        "sp": {"stride": SP_STRIDE, "share": 43 if generative else 0},
        "lime-50": {"n_samples": LIME_SAMPLES},
        "lime-150": {"n_samples": LIME_SAMPLES},
        "mp2": {"max_area": 0.2, "refresh": 16 if generative else 1},
        "random": {},
    }
    return {
        name: replace(
            plan, variants=tuple({**variant, **fields[name]} for variant in plan.variants)
        )
        for name, plan in SWEEPS.items()
    }


def run(args: argparse.Namespace) -> None:
    """Compare the maps of every photo, sweep and fill; append the rows."""
    classifier = onnxplain.load(PHOTOS.model, device=args.device)
    inpaint = Inpaint(onnxplain.load_inpainter(device=args.device))
    fills: dict[str, Fill | None] = {"plain": None, "inpaint": inpaint}
    known = {(row["file"], row["sweep"], row["fill"]) for row in read_rows(args.rows)}
    items = read_items(args.images, args.annotations)
    for photo in islice(draw_photos(PHOTOS, classifier, items), args.photos):
        for fill_name, fill in fills.items():
            sweeps = make_sweeps(generative=fill is not None)
            for name in args.sweep or sweeps:
                fills_nothing = name == "random" and fill is not None
                if (photo.file, name, fill_name) in known or fills_nothing:
                    continue
                target = photo.case.target
                found = sweep(classifier, photo.case.image, sweeps[name], target, fill=fill)
                scores = {
                    metric: [found[metric].value, found[metric].details] for metric in METRICS
                }
                row = {"file": photo.file, "sweep": name, "fill": fill_name, "scores": scores}
                append_row(args.rows, row)


def table(args: argparse.Namespace) -> None:
    """Print the means, and the differences on photos that have both fills, as Markdown."""
    found: dict[tuple[str, str], dict[str, dict[str, MetricResult]]] = {}
    for row in read_rows(args.rows):
        scores = {metric: MetricResult(*score) for metric, score in row["scores"].items()}
        found.setdefault((row["sweep"], row["fill"]), {})[row["file"]] = scores
    print(f"{describe_machine()}\n\n| sweep | fill | photos | SSIM | HOG | Spearman | paper |")
    print("|---|---|--:|--:|--:|--:|---|")
    for (name, fill), photos in sorted(found.items()):
        means = [
            average_over_images([scores[metric] for scores in photos.values()])
            for metric in METRICS
        ]
        cells = [name, fill, str(len(photos))]
        cells += [f"{mean.value:.3f} ± {mean.details['deviation']:.3f}" for mean in means]
        cells += [format_paper(name, fill)]
        print(f"| {' | '.join(cells)} |")
    print("\n| sweep | metric | photos | inpaint minus plain | 95 % | p | paper |")
    print("|---|---|--:|--:|---|--:|--:|")
    for name, published in PAPER.items():
        plain, inpaint = (found.get((name, fill), {}) for fill in ("plain", "inpaint"))
        for index, metric in enumerate(METRICS):
            pairs = [
                (plain[file][metric], inpaint[file][metric]) for file in plain if file in inpaint
            ]
            differences = [second.value - first.value for first, second in pairs]
            if len(differences) > 1:
                rng = make_rng(SEED, name, metric)
                low, high = confidence_interval(differences, rng)
                p = sign_flip_test(differences, rng)
                theirs = published[1][index] - published[0][index]
                print(
                    f"| {name} | {metric} | {len(differences)} | {np.mean(differences):+.3f} "
                    f"| {low:+.3f} to {high:+.3f} | {max(p, 0.001):.3f} | {theirs:+.3f} |"
                )


def format_paper(name: str, fill: str) -> str:
    """Return the numbers of the paper's table S1, if it has the sweep."""
    if name not in PAPER:
        return ""
    return ", ".join(f"{value:.3f}" for value in PAPER[name][fill == "inpaint"])


def main() -> None:
    """Compare the maps, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run")
    command.add_argument("rows", type=Path)
    command.add_argument("--images", type=Path, required=True)
    command.add_argument("--annotations", type=Path, required=True)
    command.add_argument("--photos", type=int, default=60, help="number of photos")
    command.add_argument("--sweep", action="append", choices=list(SWEEPS), help="only this sweep")
    command.add_argument("--device", default="cpu", help="where models run")
    command.set_defaults(call=run)
    add_table_command(commands, table)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
