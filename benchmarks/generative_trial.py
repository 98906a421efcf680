"""What decides how good LIME-G and MP2-G are: a trial on few photos.

    python -m benchmarks.generative_trial run lime ROWS.jsonl --images DIR --annotations labels.csv
    python -m benchmarks.generative_trial run mp2 ROWS.jsonl --images DIR --annotations labels.csv
    python -m benchmarks.generative_trial table ROWS.jsonl   # results/generative_trial.md

`run` appends a line per map as soon as all maps of its photo and setting are known, and skips
work whose lines exist, so that it can be stopped and started at any time. Maps are judged by
deletion, filled with what no compared method uses: noise, the local mean, and Telea.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from itertools import groupby, islice, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import onnxplain
from benchmarks.common import describe_machine, read_rows
from benchmarks.mp2_modes import LITE0, Photo, PhotoSet, compute_iou, draw_photos
from onnxplain.core.data import Attribution, Case, make_rng
from onnxplain.core.flow import FillQuery, Flow, ImageQuery
from onnxplain.core.protocols import Fill
from onnxplain.engine import run as engine
from onnxplain.engine.run import Job, make_jobs
from onnxplain.engine.settle import settle_method
from onnxplain.fills import Blur, DatasetMean, Inpaint
from onnxplain.image.superpixels import find_superpixels
from onnxplain.masks.families import SegmentMasks
from onnxplain.methods import LIME, MP2
from onnxplain.methods.scores.lime import weighted_ridge
from onnxplain.metrics import NeutralDeletion
from onnxplain.runtime import OnnxClassifier
from onnxplain.study.dataset import read_items
from onnxplain.study.statistics import sign_flip_test

SEED = 0
PHOTOS = PhotoSet(LITE0, 28, 0.2, n_photos=30, skip=60)  # earlier ones chose the defaults
N_SAMPLES = 200
N_POINTS = 14  # of a deletion curve
LIME_SETTINGS = ((50, 0.5), (50, 0.2), (25, 0.5), (25, 0.2))  # superpixels, share removed
KERNELS = ("cosine", "pixels")
USUAL = (50, 0.5, "inpaint", "cosine")  # the defaults of LIME-G
# Of MP2: fill, refresh and largest area; only without a limit one sees where a mask stops.
MP2_SETTINGS = (
    ("blur", 1, 0.2),
    ("inpaint", 16, 0.2),
    ("blur", 1, 1.0),
    ("inpaint", 16, 1.0),
    ("inpaint", 4, 0.2),
    ("inpaint", 1, 0.2),
)


def judge_map(case: Case, heatmap: NDArray[np.float32]) -> Flow[dict[str, float]]:
    """Judge a map by deletion with every neutral fill."""
    rows, columns = case.size
    metric = NeutralDeletion(step=-(-rows * columns // N_POINTS))
    result = yield from metric.flow(case, heatmap, make_rng(SEED))
    values: dict[str, float] = result.details["by_fill"]
    return values


def try_lime(
    case: Case, n_segments: int, share: float, fills: dict[str, Fill]
) -> Flow[list[dict[str, Any]]]:
    """Explain a case with the same sets of superpixels by every fill and kernel; judge the maps.

    The kernel `pixels` is the paper's: it weighs a sample by the root mean square of what changed
    in the image; its width is the median of these distances, as the paper gives none.
    """
    segments = find_superpixels(case.image, n_segments=n_segments, compactness=30.0, sigma=3.0)
    rng = make_rng(SEED, case.name, "sets")
    removed = rng.random((N_SAMPLES, segments.max() + 1)) < share
    removed[0] = False
    kept = (~removed).astype(np.uint8)
    rows = []
    for fill_name, fill in fills.items():
        masks = SegmentMasks(segments, removed.astype(np.uint8))
        filled = (yield FillQuery(masks, fill=fill)).images
        assert filled is not None
        hole = masks.render(0, N_SAMPLES)[..., None] > 0
        images = np.where(hole, filled, case.image)
        scores = (yield ImageQuery(images)).scores
        distance = np.sqrt(np.square(images - case.image).mean((1, 2, 3), dtype=np.float64))
        weights = np.sqrt(np.exp(-np.square(distance / np.median(distance))))
        fits = {
            "cosine": LIME(n_samples=N_SAMPLES).fit(kept, scores)[0].values,
            "pixels": weighted_ridge(kept, scores, weights, 1.0).values[:-1],
        }
        for kernel, values in fits.items():
            judged = yield from judge_map(case, values.astype(np.float32)[segments])
            setting = {"segments": n_segments, "share": share, "fill": fill_name, "kernel": kernel}
            rows.append(
                setting
                | {"deletion": judged, "scores": [float(scores[1:].mean()), float(scores.std())]}
            )
    return rows


def run_lime(
    photo: Photo, classifier: OnnxClassifier, done: set[str], n_settings: int
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the first settings of LIME that are not done yet."""
    fills: dict[str, Fill] = {"dataset mean": DatasetMean(), "inpaint": make_inpaint()}
    for n_segments, share in LIME_SETTINGS[:n_settings]:
        key = f"lime {photo.file} {n_segments} {share}"
        if key in done:
            continue
        flow = try_lime(photo.case, n_segments, share, fills)
        (outcome,) = engine.run(classifier, [Job((photo.case,), (flow,), DatasetMean())])
        if outcome.error:
            raise outcome.error
        for row in outcome.values[0]:
            yield {"key": key, "part": "lime", "file": photo.file, "score": photo.score} | row


def run_mp2(
    photo: Photo, classifier: OnnxClassifier, done: set[str], n_settings: int
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the first settings of MP2 that are not done yet."""
    fills: dict[str, Fill] = {"blur": Blur(), "inpaint": make_inpaint()}
    for fill_name, refresh, max_area in MP2_SETTINGS[:n_settings]:
        key = f"mp2 {photo.file} {fill_name} {refresh} {max_area:g}"
        if key in done:
            continue
        method = MP2(max_area=max_area, refresh=refresh)
        settled, gradients = settle_method(method, classifier)
        jobs = make_jobs(settled, [photo.case], fills[fill_name], SEED)
        began, cpu = time.perf_counter(), time.process_time()
        (outcome,) = engine.run(classifier, jobs, gradients=gradients)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        if outcome.error:
            raise outcome.error
        attribution: Attribution = outcome.values[0]
        assert attribution.order is not None
        judging = judge_map(photo.case, attribution.heatmap)
        (judged,) = engine.run(classifier, [Job((photo.case,), (judging,), DatasetMean())])
        if judged.error:
            raise judged.error
        yield {
            "key": key,
            "part": "mp2",
            "file": photo.file,
            "score": photo.score,
            "fill": fill_name,
            "refresh": refresh,
            "max_area": max_area,
            "seconds": seconds,
            "cpu_seconds": cpu,
            "inpaints": outcome.effort.inpaints,
            "area": attribution.details["area"],
            "reason": attribution.details["reason"],
            "last_p": attribution.details["trajectory"][-1][1],
            "order": attribution.order.tolist(),
            "deletion": judged.values[0],
        }


RUNS = {"lime": run_lime, "mp2": run_mp2}


def make_inpaint() -> Inpaint:
    """Return the fill of the inpainter that ships."""
    return Inpaint(onnxplain.load_inpainter(device="cpu"))


def run(args: argparse.Namespace) -> None:
    """Explain and judge the photos of the trial; append the rows."""
    classifier = onnxplain.load(PHOTOS.model, device=args.device)
    items = read_items(args.images, args.annotations)
    done = {row["key"] for row in read_rows(args.rows)}
    for photo in islice(draw_photos(PHOTOS, classifier, items), args.photos):
        rows = RUNS[args.part](photo, classifier, done, args.settings)
        for _, together in groupby(rows, lambda row: row["key"]):
            lines = "".join(json.dumps(row) + "\n" for row in together)
            with args.rows.open("a") as file:
                file.write(lines)


HEAD = """# What decides LIME-G and MP2-G: a trial

`python -m benchmarks.generative_trial`; {machine}; EfficientNet-Lite0, photos that it gets right.
**A trial on few photos**: it shows what is worth a larger study, not what is true. Deletion (lower
is better) is the mean over fills that no compared method uses: noise, the local mean, and Telea.
Differences are paired, with the p of a sign-flip test in brackets. `pixels` is the kernel of the
paper's text, `cosine` that of its program."""


def print_tables(args: argparse.Namespace) -> None:
    """Print the tables of the parts that have rows, as Markdown."""
    rows = read_rows(args.rows)
    parts = [HEAD.format(machine=describe_machine())]
    parts += format_lime([row for row in rows if row["part"] == "lime"])
    parts += format_mp2([row for row in rows if row["part"] == "mp2"])
    print("\n\n".join(parts))


def format_lime(rows: list[dict[str, Any]]) -> list[str]:
    """Format a row per setting: both fills, their difference, and the gap to the default."""
    if not rows:
        return []
    values = {make_setting(row): average(row) for row in rows}
    files = list(dict.fromkeys(row["file"] for row in rows))
    lines = [
        f"## LIME and LIME-G, N = {N_SAMPLES}",
        "| superpixels | share removed | kernel | photos | plain | generative | "
        "generative minus plain (p) | generative minus the default's (p) |",
        "|--:|--:|---|--:|--:|--:|--:|--:|",
    ]
    for (segments, share), kernel in product(LIME_SETTINGS, KERNELS):
        whole = [
            file
            for file in files
            if {(file, segments, share, "inpaint", kernel), (file, *USUAL)} <= set(values)
        ]
        if not whole:
            continue
        plain, generative, usual = (
            np.array([values[file, *setting] for file in whole])
            for setting in (
                (segments, share, "dataset mean", kernel),
                (segments, share, "inpaint", kernel),
                USUAL,
            )
        )
        lines.append(
            f"| {segments} | {share:g} | {kernel} | {len(whole)} | {plain.mean():.4f} | "
            f"{generative.mean():.4f} | "
            f"{format_gap(generative, plain)} | {format_gap(generative, usual)} |"
        )
    return [lines[0], "\n".join(lines[1:])]


def format_mp2(rows: list[dict[str, Any]]) -> list[str]:
    """Format a row per setting: cost, area, why it stopped, agreement and deletion."""
    if not rows:
        return []
    by_setting: dict[tuple[str, int, float], dict[str, dict[str, Any]]] = {}
    for row in rows:
        setting = row["fill"], row["refresh"], row["max_area"]
        by_setting.setdefault(setting, {})[row["file"]] = row
    exact = by_setting.get(("inpaint", 1, 0.2), {})
    lines = [
        "## MP2 and MP2-G by gradients",
        "| fill | refresh | largest area | photos | inpaints | CPU s a photo | area | exhausted | "
        "last p | photos with refresh 1 | IoU | deletion minus refresh 1's (p) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for fill, refresh, max_area in MP2_SETTINGS:
        found = by_setting.get((fill, refresh, max_area), {})
        if not found:
            continue
        chosen = list(found.values())
        shared = [file for file in found if file in exact]
        overlap = [compute_iou(found[file]["order"], exact[file]["order"]) for file in shared]
        agreement = f"{np.mean(overlap):.2f}" if shared else ""
        deletion, usual = (
            np.array([average(rows[file]) for file in shared]) for rows in (found, exact)
        )
        means = {
            name: np.mean([row[name] for row in chosen])
            for name in ("inpaints", "cpu_seconds", "area", "last_p")
        }
        lines.append(
            f"| {fill} | {refresh} | {max_area:.0%} | {len(found)} | {means['inpaints']:.0f} | "
            f"{means['cpu_seconds']:.0f} | "
            f"{means['area']:.3f} | {sum(row['reason'] == 'exhausted' for row in chosen)} | "
            f"{means['last_p']:.3f} | {len(shared)} | {agreement} | "
            f"{format_gap(deletion, usual)} |"
        )
    return [lines[0], "\n".join(lines[1:])]


def make_setting(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells a row of LIME from the others."""
    return tuple(row[name] for name in ("file", "segments", "share", "fill", "kernel"))


def average(row: dict[str, Any]) -> float:
    """Return the mean of a row's deletion over the neutral fills."""
    return float(np.mean(list(row["deletion"].values())))


def format_gap(values: NDArray[np.float64], others: NDArray[np.float64]) -> str:
    """Format a mean difference and its p; nothing if the two are the same."""
    gaps = values - others
    if not gaps.any():
        return ""
    return f"{gaps.mean():+.4f} ({sign_flip_test(gaps, np.random.default_rng(SEED)):.2f})"


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the trial, or print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run")
    runs.add_argument("part", choices=list(RUNS))
    runs.add_argument("rows", type=Path)
    runs.add_argument("--images", type=Path, required=True)
    runs.add_argument("--annotations", type=Path, required=True)
    runs.add_argument("--photos", type=int, default=8, help="number of photos")
    runs.add_argument("--device", default="cpu", help="where models run")
    runs.add_argument("--settings", type=int, default=6, help="number of settings")
    runs.set_defaults(call=run)
    tables = commands.add_parser("table")
    tables.add_argument("rows", type=Path)
    tables.set_defaults(call=print_tables)
    args = parser.parse_args(None if arguments is None else list(arguments))
    args.call(args)


if __name__ == "__main__":
    main()
