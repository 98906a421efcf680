"""Speed of metrics compared with raw ONNX Runtime, and memory by number of images.

    python -m benchmarks.evaluation [--images 24] [--rounds 5] [--busy 1]

The photos are parts of the example photo. A deletion run judges random heatmaps; a
metrics-only run finds heatmaps that were kept and judges them by deletion, insertion and the
saliency metric. Both are whole calls of `onnxplain.evaluate`: they read and classify photos,
rank pixels, and write rows and tables. Raw runs on prepared input come before and after each.
The ratio is given by the clock, and by the process's CPU seconds per image, which other load
disturbs less. With --busy, that many endless loops run beside everything but the memory, as other
work on the machine would.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import click
import PIL.Image

import onnxplain
from benchmarks.common import (
    PHOTO,
    RawPlan,
    RawRunner,
    busy_option,
    describe_machine,
    device_option,
    format_spread,
    keep_busy,
)
from benchmarks.throughput import measure_beside_raw
from onnxplain.runtime import OnnxClassifier
from onnxplain.study.rows import read_rows
from onnxplain.zoo import build_model

CURVES, CROPS = ("deletion", "insertion"), "saliency"


@click.command(help=__doc__)
@click.option("--images", "n_images", default=24, show_default=True, help="Photos per study.")
@click.option("--rounds", default=5, show_default=True, help="Pairs of raw run and study.")
@click.option(
    "--raw-images", default=384, show_default=True, help="Raw images before and after each study."
)
@click.option(
    "--raw-plan",
    type=(int, int, int),
    metavar="BATCH THREADS CALLS",
    help="Raw runs: batch size, threads per call, parallel calls.  [default: the fastest]",
)
@click.option("--memory/--no-memory", default=True, help="Measure memory as well.")
@busy_option
@device_option
def main(
    n_images: int,
    rounds: int,
    raw_images: int,
    raw_plan: tuple[int, int, int] | None,
    memory: bool,
    busy: int,
    device: str,
) -> None:
    with keep_busy(busy):
        measure_studies(n_images, rounds, raw_images, raw_plan, busy, device)
    if memory:
        few, many = measure_peak(10, device), measure_peak(80, device)
        print(f"\nmemory, deletion: 10 photos {few:.0f} MiB, 80 {many:.0f} MiB; {many - few:+.0f}")


def measure_studies(
    n_images: int,
    rounds: int,
    raw_images: int,
    raw_plan: tuple[int, int, int] | None,
    busy: int,
    device: str,
) -> None:
    """Compare studies with raw runs and print a table."""
    classifier = onnxplain.load("efficientnet-lite0", device=device)
    raw = RawRunner(build_model("efficientnet-lite0"), (3, *classifier.size), device)
    plan = RawPlan(*raw_plan) if raw_plan else raw.find_best_plan(2, 64)
    print(f"{describe_machine()}; efficientnet-lite0, float32, {device}")
    print(f"{n_images} photos per study; endless loops beside the runs: {busy}")
    print(f"raw: {plan}; engine: batch {classifier.batch_size}, {classifier.workers} workers\n")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        photos = make_photos(work / "photos", n_images)
        kept = work / "heatmaps"
        run_study(
            classifier, photos, work / "kept", CURVES[:1], kept
        )  # fills `kept`, and is the warm-up
        runs = {
            "deletion": (CURVES[:1], None),
            "metrics only, heatmaps kept": ((*CURVES, CROPS), kept),
        }
        print("| study | evaluations | evaluations/s | raw images/s | ratio | by CPU seconds |")
        print("|---|---|---|---|---|---|")
        for name, (metrics, heatmaps) in runs.items():
            figures = []
            for i in range(rounds):
                # The number of distinct crops is known only after they have been judged.
                rows = work / f"{name}-{i}"
                run = partial(run_study, classifier, photos, rows, metrics, heatmaps)
                count = partial(count_evaluations, rows)
                figures.append(measure_beside_raw(raw, plan, run, count, raw_images))
            rates, raws, ratios, cpu = map(list, zip(*figures, strict=True))
            n = count_evaluations(rows)
            print(
                f"| {name} | {n} | {format_spread(rates, 0)} | {format_spread(raws, 0)} "
                f"| {format_spread(ratios)} | {format_spread(cpu)} |"
            )


def run_study(
    classifier: OnnxClassifier,
    photos: Path,
    output: Path,
    metrics: tuple[str, ...],
    heatmaps: Path | None,
) -> None:
    """Judge random heatmaps of all photos."""
    study = onnxplain.evaluate(
        photos,
        models=classifier,
        methods="random",
        metrics=metrics,
        output=output,
        keep_heatmaps=heatmaps,
    )
    assert not study.failures, [row["error"] for row in study.failures]


def count_evaluations(output: Path) -> int:
    """Count the images that were scored for the rows of a study."""
    total = 0
    for row in read_rows(output / "rows.jsonl"):
        details = row.get("details", {})
        # Equal crops are scored once.
        crops = set(zip(details.get("areas", ()), details.get("scores", ()), strict=True))
        total += 1 if row["kind"] == "image" else len(details.get("curve", crops))
    return total


def make_photos(folder: Path, n: int) -> Path:
    """Cut different parts of the example photo and save them as JPEG files of 500 x 375 pixels."""
    folder.mkdir(parents=True)
    with PIL.Image.open(PHOTO) as photo:
        for i in range(n):
            left, top = 3 * (i % 16), 5 * (i // 16)
            part = photo.crop((left, top, photo.width - 48 + left, photo.height - 40 + top))
            part.resize((500, 375)).save(folder / f"{i:03}.jpg", quality=90)
    return folder


PEAK = """
import sys, tempfile
from pathlib import Path
import onnxplain
from benchmarks.common import read_peak_mib
from benchmarks.evaluation import make_photos, run_study
classifier = onnxplain.load("efficientnet-lite0", device=sys.argv[2], batch_size=8)
with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    photos = make_photos(work / "photos", int(sys.argv[1]))
    run_study(classifier, photos, work, ("deletion",), None)
print(read_peak_mib())
"""


def measure_peak(n_images: int, device: str) -> float:
    """Measure the peak memory of a deletion study in a separate process, in MiB."""
    command = [sys.executable, "-c", PEAK, str(n_images), device]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.split()[-1])


if __name__ == "__main__":
    main()
