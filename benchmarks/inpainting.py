"""Cost of inpainting, compared with other fills and the classifier, and in whole explanations.

    python -m benchmarks.inpainting throughput [--inpainter model.onnx] [--rounds 5]
    python -m benchmarks.inpainting explanations [--method lime-g --method sp-g:share=43]

Within a round, all measurements take turns, with two parallel calls of one thread each. Figures
are given by the clock, and by the process's CPU seconds, which other load disturbs less.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import onnxplain
from benchmarks.common import (
    PHOTO,
    describe_machine,
    device_option,
    format_spread,
    make_raw_call,
    open_raw,
    read_photo,
)
from onnxplain import registry
from onnxplain.fills import Biharmonic, Inpaint, Telea
from onnxplain.image.superpixels import find_superpixels
from onnxplain.loading import find_model, load_inpainter
from onnxplain.registry import parse_entry
from onnxplain.results import Explanation

SIZE = 256
BATCHES = (1, 2, 4, 8)
PARALLEL_CALLS = 2
PATCH = 29  # side of SP-G's hole


@dataclass(frozen=True)
class Rate:
    """Images per second, by the clock and by CPU seconds."""

    wall: float
    cpu: float


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.option("--inpainter", default="inpainter", show_default=True)
@click.option("--model", default="efficientnet-lite0", show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option(
    "--seconds", default=1.0, show_default=True, help="Shortest duration of a measurement."
)
@device_option
def throughput(inpainter: str, model: str, rounds: int, seconds: float, device: str) -> None:
    """Measure the images per second of inpainter, classical fills and classifier."""
    image = read_photo(SIZE)
    runs: dict[tuple[str, int], Callable[[], object]] = {}
    classifier = onnxplain.load(model, device=device)
    for batch in BATCHES:
        runs[f"inpainter, {SIZE} px", batch] = make_raw_run(
            inpainter, {3: (SIZE, SIZE), 1: (SIZE, SIZE)}, batch, device
        )
        runs[f"classifier, {classifier.size[0]} px", batch] = make_raw_run(
            model, {3: classifier.size}, batch, device
        )
    for hole, mask in make_holes(image).items():
        for fill in (Telea(), Biharmonic()):
            prepared = fill.prepare(image, np.random.default_rng(0))
            runs[f"{fill.name}, {SIZE} px, {hole}", 1] = partial(prepared, mask[None])
    rates: dict[tuple[str, int], list[Rate]] = {key: [] for key in runs}
    for _ in range(rounds):
        for (name, batch), run in runs.items():
            rates[name, batch].append(measure_rate(run, batch, seconds))
    print(f"{describe_machine()}; {PARALLEL_CALLS} parallel calls, {rounds} rounds\n")
    print("| model or fill | batch | images/s | images per CPU second |\n|---|---|---|---|")
    for (name, batch), measured in sorted(rates.items()):
        wall, cpu = [rate.wall for rate in measured], [rate.cpu for rate in measured]
        print(f"| {name} | {batch} | {format_spread(wall, 1)} | {format_spread(cpu, 1)} |")


@main.command()
@click.option("--inpainter", default="inpainter", show_default=True)
@click.option("--model", default="efficientnet-lite0", show_default=True)
@click.option("--method", "methods", multiple=True, default=("lime-g", "sp-g", "sp-g:share=43"))
@click.option("--seconds", default=5.0, show_default=True, help="Shortest duration of a raw run.")
@device_option
def explanations(
    inpainter: str, model: str, methods: tuple[str, ...], seconds: float, device: str
) -> None:
    """Compare whole generative explanations with raw runs of inpainter and classifier."""
    classifier = onnxplain.load(model, device=device)
    fill = Inpaint(load_inpainter(inpainter, device=device))
    inpainter_run = make_raw_run(inpainter, {3: classifier.size, 1: classifier.size}, 1, device)
    classifier_run = make_raw_run(model, {3: classifier.size}, 1, device)

    def measure_raw_rates() -> tuple[Rate, Rate]:
        return measure_rate(inpainter_run, 1, seconds), measure_rate(classifier_run, 1, seconds)

    print(describe_machine(), flush=True)
    print(
        "| method | inpaints | evaluations | s | CPU s | inpainting | workers busy | raw / own "
        "| by CPU seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for text in methods:
        entry = parse_entry(text)
        method = registry.make_method(registry.split_generative(entry.name)[0], entry.parameters)
        before = measure_raw_rates()
        start = time.process_time()
        explanation = onnxplain.explain(classifier, PHOTO, method, fill=fill)
        cpu = time.process_time() - start
        after = measure_raw_rates()
        print(_format_row(text, explanation, cpu, before, after, classifier.workers), flush=True)


def _format_row(
    method: str,
    explanation: Explanation,
    cpu: float,
    before: tuple[Rate, Rate],
    after: tuple[Rate, Rate],
    workers: int,
) -> str:
    """Format the row of an explanation that took `cpu` seconds of the processor."""
    assert np.ptp(explanation.heatmap) > 0
    wall = explanation.seconds
    busy = explanation.inpaint_seconds / explanation.inpaint_share / wall / workers
    raw_wall = _estimate_raw_seconds(explanation, before, after, "wall")
    raw_cpu = _estimate_raw_seconds(explanation, before, after, "cpu")
    return (
        f"| {method} | {explanation.inpaints} | {explanation.evaluations} | {wall:.0f} "
        f"| {cpu:.0f} | {explanation.inpaint_share:.1%} | {busy:.1%} | {raw_wall / wall:.2f} "
        f"| {raw_cpu / cpu:.2f} |"
    )


def _estimate_raw_seconds(
    explanation: Explanation, before: tuple[Rate, Rate], after: tuple[Rate, Rate], clock: str
) -> float:
    """Estimate the time of as many raw runs, from the mean times per image before and after."""
    per_inpaint, per_score = (
        (1 / getattr(first, clock) + 1 / getattr(second, clock)) / 2
        for first, second in zip(before, after, strict=True)
    )
    return explanation.inpaints * per_inpaint + explanation.evaluations * per_score


def make_holes(image: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
    """Make two masks: a patch of SP, and every other superpixel of LIME."""
    patch = np.zeros(image.shape[:2], np.float32)
    patch[100 : 100 + PATCH, 100 : 100 + PATCH] = 1
    segments = find_superpixels(image, n_segments=50, compactness=30, sigma=3)
    half = (segments % 2).astype(np.float32)
    return {f"{PATCH} px patch": patch, "half of 50 superpixels": half}


def make_raw_run(
    model: str, sizes: Mapping[int, tuple[int, int]], batch: int, device: str
) -> Callable[[], object]:
    """Return a function that runs a model on noise; `sizes` maps channels of inputs to sizes."""
    session = open_raw(find_model(model), 1, device)
    rng = np.random.default_rng(0)
    feeds: dict[str, Any] = {}
    for model_input in session.get_inputs():
        channels = model_input.shape[1]
        noise = rng.random((batch, channels, *sizes[channels]), np.float32)
        feeds[model_input.name] = noise if channels == 3 else np.round(noise)
    return make_raw_call(session, feeds, device)


def measure_rate(run: Callable[[], object], batch: int, seconds: float) -> Rate:
    """Make parallel calls for at least `seconds` and return the images per second."""
    run()  # the first call of a shape allocates
    wall, cpu = time.perf_counter(), time.process_time()

    def call_repeatedly() -> int:
        calls = 0
        while not calls or time.perf_counter() - wall < seconds:
            run()
            calls += 1
        return calls

    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        futures = [pool.submit(call_repeatedly) for _ in range(PARALLEL_CALLS)]
        calls = sum(future.result() for future in futures)
    n = calls * batch
    return Rate(n / (time.perf_counter() - wall), n / (time.process_time() - cpu))


if __name__ == "__main__":
    main()
