"""What decides how good LIME-G and MP2-G are: a trial on few photos.

    python -m benchmarks.generative_trial run lime ROWS.jsonl --images DIR --annotations labels.csv
    python -m benchmarks.generative_trial run mp2 ROWS.jsonl --images DIR --annotations labels.csv
    python -m benchmarks.generative_trial run cells ROWS.jsonl --images DIR --annotations labels.csv
    python -m benchmarks.generative_trial table ROWS.jsonl   # results/generative_trial.md

`run` appends a line per map as soon as all maps of its photo and setting are known, and skips
work whose lines exist, so that it can be stopped and started at any time. Maps are judged by
deletion, filled with what no compared method uses: noise, the local mean, and Telea. The part
`cells` looks at the masks that the part `mp2` has found.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import onnxplain
from benchmarks.common import add_table_command, describe_machine, read_rows
from benchmarks.generative_cells import compare_cells, format_cells
from benchmarks.generative_tables import HEAD, N_SAMPLES, Mp2Setting, format_lime, format_mp2
from benchmarks.mp2_modes import LITE0, Photo, PhotoSet, draw_photos
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
from onnxplain.methods.masks.optim import logit
from onnxplain.methods.scores.lime import weighted_ridge
from onnxplain.metrics import NeutralDeletion
from onnxplain.runtime import OnnxClassifier
from onnxplain.study.dataset import read_items

SEED = 0
PHOTOS = PhotoSet(LITE0, 28, 0.2, n_photos=30, skip=60)  # earlier ones chose the defaults
N_POINTS = 14  # of a deletion curve
LIME_SETTINGS = ((50, 0.5), (50, 0.2), (25, 0.5), (25, 0.2))  # superpixels, share removed
# Only without a limit of area one sees where a mask stops.
MP2_SETTINGS: tuple[Mp2Setting, ...] = (
    ("blur", 1, 0.2, "gradient"),
    ("inpaint", 16, 0.2, "gradient"),
    ("inpaint", 16, 0.2, "propose"),
    ("blur", 1, 0.2, "propose"),
    ("inpaint", 16, 0.2, "difference"),
    ("blur", 1, 1.0, "gradient"),
    ("inpaint", 16, 1.0, "gradient"),
    ("inpaint", 4, 0.2, "gradient"),
    ("inpaint", 1, 0.2, "gradient"),
)

Known: TypeAlias = Mapping[str, dict[str, Any]]  # a row of each key
Rows: TypeAlias = Iterator[dict[str, Any]]


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
    """Explain a case with the same sets of superpixels by every fill and fit; judge the maps.

    The fit `pixels` has the paper's kernel: it weighs a sample by the root mean square of what
    changed in the image; its width is the median of these distances, as the paper gives none.
    The others have the kernel of the paper's program: `cosine` is what the product does,
    `log-odds` fits the log-odds of the scores, and `alpha 0.1` a tenth of the penalty.
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
        lime, log_odds = LIME(n_samples=N_SAMPLES), logit(np.clip(scores, 1e-7, 1 - 1e-7))
        fits = {
            "cosine": lime.fit(kept, scores)[0].values,
            "pixels": weighted_ridge(kept, scores, weights, 1.0).values[:-1],
            "log-odds": lime.fit(kept, log_odds)[0].values,
            "alpha 0.1": replace(lime, alpha=0.1).fit(kept, scores)[0].values,
        }
        for fit, values in fits.items():
            judged = yield from judge_map(case, values.astype(np.float32)[segments])
            setting = {"segments": n_segments, "share": share, "fill": fill_name, "fit": fit}
            rows.append(
                setting
                | {"deletion": judged, "scores": [float(scores[1:].mean()), float(scores.std())]}
            )
    return rows


def run_lime(photo: Photo, classifier: OnnxClassifier, known: Known, n_settings: int) -> Rows:
    """Yield the rows of the first settings of LIME that are not done yet."""
    fills: dict[str, Fill] = {"dataset mean": DatasetMean(), "inpaint": make_inpaint()}
    for n_segments, share in LIME_SETTINGS[:n_settings]:
        key = f"lime {photo.file} {n_segments} {share}"
        if key in known:
            continue
        flow = try_lime(photo.case, n_segments, share, fills)
        (outcome,) = engine.run(classifier, [Job((photo.case,), (flow,), DatasetMean())])
        if outcome.error:
            raise outcome.error
        for row in outcome.values[0]:
            yield {"key": key, "part": "lime", "file": photo.file, "score": photo.score} | row


def run_mp2(photo: Photo, classifier: OnnxClassifier, known: Known, n_settings: int) -> Rows:
    """Yield the rows of the first settings of MP2 that are not done yet."""
    fills: dict[str, Fill] = {"blur": Blur(), "inpaint": make_inpaint()}
    for setting in MP2_SETTINGS[:n_settings]:
        fill_name, refresh, max_area, gain = setting
        key = make_mp2_key(photo.file, setting)
        if key in known:
            continue
        method = MP2(max_area=max_area, refresh=refresh, gain=gain)
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
            "gain": gain,
            "seconds": seconds,
            "cpu_seconds": cpu,
            "inpaints": outcome.effort.inpaints,
            "area": attribution.details["area"],
            "reason": attribution.details["reason"],
            "last_p": attribution.details["trajectory"][-1][1],
            "order": attribution.order.tolist(),
            "deletion": judged.values[0],
        }


def make_mp2_key(file: str, setting: Mp2Setting) -> str:
    """Name a photo and a setting of MP2; gradients, the default, go without saying."""
    fill, refresh, max_area, gain = setting
    named = "" if gain == "gradient" else f" {gain}"
    return f"mp2 {file} {fill} {refresh} {max_area:g}{named}"


def run_cells(photo: Photo, classifier: OnnxClassifier, known: Known, n_settings: int) -> Rows:
    """Yield the row on the cells of a photo's masks, if the part `mp2` has found these."""
    key = f"cells {photo.file}"
    plain = known.get(make_mp2_key(photo.file, ("blur", 1, 0.2, "gradient")))
    orders = {
        refresh: row["order"]
        for refresh in (1, 4, 16)
        if (row := known.get(make_mp2_key(photo.file, ("inpaint", refresh, 0.2, "gradient"))))
    }
    if key not in known and plain and orders:
        fills: dict[str, Fill] = {"blur": Blur(), "inpaint": make_inpaint()}
        row = compare_cells(photo, classifier, fills, plain["order"], orders)
        yield {"key": key, "part": "cells", "file": photo.file, "score": photo.score} | row


RUNS = {"lime": run_lime, "mp2": run_mp2, "cells": run_cells}


def make_inpaint() -> Inpaint:
    """Return the fill of the inpainter that ships."""
    return Inpaint(onnxplain.load_inpainter(device="cpu"))


def run(args: argparse.Namespace) -> None:
    """Explain and judge the photos of the trial; append the rows."""
    classifier = onnxplain.load(PHOTOS.model, device=args.device)
    items = read_items(args.images, args.annotations)
    known = {row["key"]: row for row in read_rows(args.rows)}
    for photo in islice(draw_photos(PHOTOS, classifier, items), args.photos):
        rows = RUNS[args.part](photo, classifier, known, args.settings)
        for _, together in groupby(rows, lambda row: row["key"]):
            lines = "".join(json.dumps(row) + "\n" for row in together)
            with args.rows.open("a") as file:
                file.write(lines)


def print_tables(args: argparse.Namespace) -> None:
    """Print the tables of the parts that have rows, as Markdown."""
    rows = read_rows(args.rows)
    parts = [HEAD.format(machine=describe_machine())]
    parts += format_lime([row for row in rows if row["part"] == "lime"], LIME_SETTINGS)
    parts += format_mp2([row for row in rows if row["part"] == "mp2"], MP2_SETTINGS)
    parts += format_cells([row for row in rows if row["part"] == "cells"])
    print("\n\n".join(parts))


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
    add_table_command(commands, print_tables)
    args = parser.parse_args(None if arguments is None else list(arguments))
    args.call(args)


if __name__ == "__main__":
    main()
