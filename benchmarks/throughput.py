"""Evaluations per second of whole explanations, compared with raw ONNX Runtime.

    python -m benchmarks.throughput [--model efficientnet-lite0] [--rounds 5] [--busy 1]

Raw ONNX Runtime gets prepared input and the fastest of several batch sizes, threads per call
and numbers of parallel calls, found in the same run by the medians of short rounds in which all
take turns. Then raw runs and the engine take turns. With --busy, that many endless loops run
beside everything, as other work on the machine would.
Each ratio compares a run with the raw runs before and after it: by the clock, and by CPU
seconds per image, which other load disturbs less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import click
import numpy as np

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
    measure_seconds,
)
from onnxplain.core.flow import Method
from onnxplain.runtime import OnnxClassifier
from onnxplain.zoo import build_model

METHODS = (
    ("SP 29/3", onnxplain.SP(patch=29, stride=3)),
    ("LIME N=1000", onnxplain.LIME(n_samples=1000)),
    ("RISE N=4000", onnxplain.RISE(n_masks=4000)),
)


RAW_IMAGES = 384  # before and after each explanation; a multiple of every batch size


@click.command(help=__doc__)
@click.option("--model", default="efficientnet-lite0", show_default=True, help="A zoo model.")
@click.option(
    "--rounds", default=5, show_default=True, help="Explanations per method, with raw runs."
)
@click.option("--threads", default=2, show_default=True, help="Threads of the raw runs.")
@busy_option
@device_option
def main(model: str, rounds: int, threads: int, busy: int, device: str) -> None:
    with keep_busy(busy):
        _measure(model, rounds, threads, busy, device)


def _measure(model: str, rounds: int, threads: int, busy: int, device: str) -> None:
    path = build_model(model)
    classifier = onnxplain.load(model, device=device)
    raw = RawRunner(path, (3, *classifier.size), device)
    plan = raw.find_best_plan(threads, 64)
    onnxplain.explain(classifier, PHOTO, onnxplain.LIME(n_samples=50))  # warm-up
    print(f"{describe_machine()}; {model}, float32, {classifier.size[0]} px, {device}")
    print(f"endless loops beside the runs: {busy}")
    print(f"raw: {plan}; engine: batch {classifier.batch_size}, {classifier.workers} workers\n")
    print("| method | evaluations | evaluations/s | raw images/s | ratio | ratio by CPU seconds |")
    print("|---|---|---|---|---|---|")
    for name, method in METHODS:
        n = method.evaluations(classifier.size)
        explain = partial(_explain_photo, classifier, method)
        runs = [measure_beside_raw(raw, plan, explain, partial(int, n)) for _ in range(rounds)]
        rates, raw_rates, ratios, cpu_ratios = (
            list(figures) for figures in zip(*runs, strict=True)
        )
        print(
            f"| {name} | {n} | {format_spread(rates, 0)} | {format_spread(raw_rates, 0)} "
            f"| {format_spread(ratios)} | {format_spread(cpu_ratios)} |"
        )


def measure_beside_raw(
    raw: RawRunner,
    plan: RawPlan,
    work: Callable[[], object],
    evaluations: Callable[[], int],
    raw_images: int = RAW_IMAGES,
) -> tuple[float, float, float, float]:
    """Run raw ONNX Runtime, the work, and raw ONNX Runtime again.

    `evaluations` returns the number of images that the work has scored.

    Returns
    -------
    rate, raw_rate : float
        Images per second of the work and of the raw runs.
    ratio, cpu_ratio : float
        Rate divided by raw rate, by the clock and by CPU seconds.
    """
    raw_run = partial(raw.run, plan, raw_images)
    before, own, after = _measure_times(raw_run), _measure_times(work), _measure_times(raw_run)
    raw_wall, raw_cpu = (
        (first + second) / 2 / raw_images for first, second in zip(before, after, strict=True)
    )
    wall, cpu = (seconds / evaluations() for seconds in own)
    return 1 / wall, 1 / raw_wall, raw_wall / wall, raw_cpu / cpu


def _measure_times(action: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of a call by the clock and by the process's CPU time."""
    start = time.process_time()
    wall = measure_seconds(action)
    return wall, time.process_time() - start


def _explain_photo(classifier: OnnxClassifier, method: Method) -> None:
    explanation = onnxplain.explain(classifier, PHOTO, method)
    assert np.ptp(explanation.heatmap) > 0


if __name__ == "__main__":
    main()
