"""Evaluations a second of whole explanations over raw ONNX Runtime on ready-made input.

    python -m benchmarks.throughput [--model efficientnet-lite0] [--rounds 5]

The raw figure is the best of several batch sizes, threads within a call and calls side by
side, found in the same run; then raw and engine take turns, and the ratio is pair by pair:
by the clock, and by the process's CPU seconds an image, which other load disturbs less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import click
import numpy as np

import onnxplain
from benchmarks.common import PHOTO, Plan, Raw, machine, seconds, spread
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
@click.option("--rounds", default=5, show_default=True, help="Pairs of raw run and explanation.")
@click.option("--threads", default=2, show_default=True, help="Threads of the raw runs.")
def main(model: str, rounds: int, threads: int) -> None:
    path = build_model(model)
    classifier = onnxplain.load(model, device="cpu")
    raw = Raw(path, (3, *classifier.size))
    plan = raw.best_plan(threads, 96)
    onnxplain.explain(classifier, PHOTO, onnxplain.LIME(n_samples=50))  # warm
    print(f"{machine()}; {model}, float32, {classifier.size[0]} px, CPU")
    print(f"raw: {plan}; engine: batch {classifier.batch_size}, {classifier.workers} workers\n")
    print("| method | evaluations | evaluations/s | raw images/s | ratio | ratio by CPU seconds |")
    print("|---|---|---|---|---|---|")
    for name, method in METHODS:
        n = method.evaluations(classifier.size)
        explain = partial(_explain, classifier, method)
        pairs = [pair(raw, plan, explain, lambda n=n: n) for _ in range(rounds)]
        rates, raws, ratios, cpu_ratios = (list(figures) for figures in zip(*pairs, strict=True))
        print(
            f"| {name} | {n} | {spread(rates, 0)} | {spread(raws, 0)} "
            f"| {spread(ratios)} | {spread(cpu_ratios)} |"
        )


def pair(
    raw: Raw,
    plan: Plan,
    work: Callable[[], object],
    evaluations: Callable[[], int],
    raw_images: int = RAW_IMAGES,
) -> tuple[float, float, float, float]:
    """Rates of some work and of raw runs around it, and their ratios by clock and CPU."""
    raw_run = partial(raw.run, plan, raw_images)
    before, own, after = _timed(raw_run), _timed(work), _timed(raw_run)
    raw_wall, raw_cpu = (
        (one + two) / 2 / raw_images for one, two in zip(before, after, strict=True)
    )
    wall, cpu = (value / evaluations() for value in own)
    return 1 / wall, 1 / raw_wall, raw_wall / wall, raw_cpu / cpu


def _timed(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of the process's CPU time."""
    began = time.process_time()
    wall = seconds(action)
    return wall, time.process_time() - began


def _explain(classifier: OnnxClassifier, method: Method) -> None:
    found = onnxplain.explain(classifier, PHOTO, method)
    assert np.ptp(found.heatmap) > 0


if __name__ == "__main__":
    main()
