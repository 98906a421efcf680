"""Evaluations a second of whole explanations over raw ONNX Runtime on ready-made input.

    python -m benchmarks.throughput [--model efficientnet-lite0] [--rounds 5]

The raw figure is the best of several batch sizes, threads within a call and calls side by
side, found in the same run; then raw and engine take turns, and the ratio is pair by pair.
"""

from __future__ import annotations

from functools import partial

import click
import numpy as np

import onnxplain
from benchmarks.common import PHOTO, Raw, machine, seconds, spread
from onnxplain.zoo import build

METHODS = (
    ("SP 29/3", onnxplain.SP(patch=29, stride=3)),
    ("LIME N=1000", onnxplain.LIME(n_samples=1000)),
    ("RISE N=4000", onnxplain.RISE(n_masks=4000)),
)


@click.command(help=__doc__)
@click.option("--model", default="efficientnet-lite0", show_default=True, help="A zoo model.")
@click.option("--rounds", default=5, show_default=True, help="Pairs of raw run and explanation.")
@click.option("--threads", default=2, show_default=True, help="Threads of the raw runs.")
def main(model: str, rounds: int, threads: int) -> None:
    path = build(model)
    classifier = onnxplain.load(model, device="cpu")
    raw = Raw(path, (3, *classifier.size))
    plan = raw.best_plan(threads, 96)
    print(f"{machine()}; {model}, float32, {classifier.size[0]} px, CPU")
    print(f"raw: {plan}; engine: batch {classifier.batch_size}, {classifier.workers} workers\n")
    print("| method | evaluations | evaluations/s | raw images/s | ratio, pair by pair |")
    print("|---|---|---|---|---|")
    for name, method in METHODS:
        n = method.evaluations(classifier.size)
        explain = partial(onnxplain.explain, classifier, PHOTO, method)
        assert np.ptp(explain().heatmap) > 0  # the result before the time; and warm
        rates, raws, ratios = [], [], []
        for _ in range(rounds):
            before = raw.rate(plan, n // 2)
            rates.append(n / seconds(explain))
            after = raw.rate(plan, n // 2)
            raws.append(2 / (1 / before + 1 / after))
            ratios.append(rates[-1] / raws[-1])
        print(f"| {name} | {n} | {spread(rates, 0)} | {spread(raws, 0)} | {spread(ratios)} |")


if __name__ == "__main__":
    main()
