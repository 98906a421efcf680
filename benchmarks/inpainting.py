"""What inpainting costs: beside other fills and the classifier, and in whole explanations.

    python -m benchmarks.inpainting throughput [--inpainter model.onnx] [--rounds 5]
    python -m benchmarks.inpainting explanations [--method lime-g --method sp-g:share=43]

Everything takes turns within a round, on as many calls of one thread side by side as there
are cores: by the clock, and by the process's CPU seconds, which other load disturbs less.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

import onnxplain
from benchmarks.common import PHOTO, machine, photo, spread
from onnxplain import registry
from onnxplain.fills import Biharmonic, Inpaint, Telea
from onnxplain.image.superpixels import find_superpixels
from onnxplain.loading import find_model, load_inpainter
from onnxplain.registry import parse_entry
from onnxplain.results import Explanation

SIZE = 256
BATCHES = (1, 2, 4, 8)
SIDE_BY_SIDE = 2
PATCH = 29  # side of SP-G's hole


@dataclass(frozen=True)
class Rate:
    """Images a second, by the clock and by CPU seconds."""

    wall: float
    cpu: float


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.option("--inpainter", default="inpainter", show_default=True)
@click.option("--model", default="efficientnet-lite0", show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=1.0, show_default=True, help="Of each measurement, at least.")
def throughput(inpainter: str, model: str, rounds: int, seconds: float) -> None:
    """Images a second of inpainter, classical fills and classifier."""
    image = photo(SIZE)
    runs: dict[tuple[str, int], Callable[[], object]] = {}
    classifier = onnxplain.load(model, device="cpu")
    for batch in BATCHES:
        runs[f"inpainter, {SIZE} px", batch] = raw(
            inpainter, {3: (SIZE, SIZE), 1: (SIZE, SIZE)}, batch
        )
        runs[f"classifier, {classifier.size[0]} px", batch] = raw(
            model, {3: classifier.size}, batch
        )
    for hole, mask in holes(image).items():
        for fill in (Telea(), Biharmonic()):
            paint = fill.prepare(image, np.random.default_rng(0))
            runs[f"{fill.name}, {SIZE} px, {hole}", 1] = partial(paint, mask[None])
    rates: dict[tuple[str, int], list[Rate]] = {key: [] for key in runs}
    for _ in range(rounds):
        for (name, batch), run in runs.items():
            rates[name, batch].append(rate(run, batch, seconds))
    print(f"{machine()}; {SIDE_BY_SIDE} calls side by side, {rounds} rounds\n")
    print("| what | batch | images/s | images a CPU second |\n|---|---|---|---|")
    for (name, batch), found in sorted(rates.items()):
        wall, cpu = ([getattr(one, what) for one in found] for what in ("wall", "cpu"))
        print(f"| {name} | {batch} | {spread(wall, 1)} | {spread(cpu, 1)} |")


@main.command()
@click.option("--inpainter", default="inpainter", show_default=True)
@click.option("--model", default="efficientnet-lite0", show_default=True)
@click.option("--method", "methods", multiple=True, default=("lime-g", "sp-g", "sp-g:share=43"))
@click.option("--seconds", default=5.0, show_default=True, help="Of each raw run, at least.")
def explanations(inpainter: str, model: str, methods: tuple[str, ...], seconds: float) -> None:
    """Whole generative explanations over raw runs of inpainter and classifier around them."""
    classifier = onnxplain.load(model, device="cpu")
    fill = Inpaint(load_inpainter(inpainter, device="cpu"))
    painting = partial(
        rate, raw(inpainter, {3: classifier.size, 1: classifier.size}, 1), 1, seconds
    )
    scoring = partial(rate, raw(model, {3: classifier.size}, 1), 1, seconds)
    print(machine(), flush=True)
    print(
        "| method | inpaints | evaluations | s | CPU s | inpainting | workers busy | raw / own "
        "| by CPU seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for text in methods:
        wanted = parse_entry(text)
        method = registry.make_method(registry.split_generative(wanted.name)[0], wanted.parameters)
        before = painting(), scoring()
        cpu = time.process_time()
        found = onnxplain.explain(classifier, PHOTO, method, fill=fill)
        cpu = time.process_time() - cpu
        after = painting(), scoring()
        assert np.ptp(found.heatmap) > 0
        busy = found.inpaint_seconds / found.inpaint_share / found.seconds / classifier.workers
        by_clock, by_cpu = (_raw_seconds(found, before, after, what) for what in ("wall", "cpu"))
        print(
            f"| {text} | {found.inpaints} | {found.evaluations} | {found.seconds:.0f} | {cpu:.0f} "
            f"| {found.inpaint_share:.1%} | {busy:.1%} | {by_clock / found.seconds:.2f} "
            f"| {by_cpu / cpu:.2f} |",
            flush=True,
        )


def _raw_seconds(
    found: Explanation, before: tuple[Rate, Rate], after: tuple[Rate, Rate], what: str
) -> float:
    """What as many raw runs take, at the mean of the rates before and after."""
    per_inpaint, per_score = (
        (1 / getattr(one, what) + 1 / getattr(two, what)) / 2
        for one, two in zip(before, after, strict=True)
    )
    return found.inpaints * per_inpaint + found.evaluations * per_score


def holes(image: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
    """A patch of SP, and every other superpixel of LIME."""
    patch = np.zeros(image.shape[:2], np.float32)
    patch[100 : 100 + PATCH, 100 : 100 + PATCH] = 1
    segments = find_superpixels(image, n_segments=50, compactness=30, sigma=3)
    half = (segments % 2).astype(np.float32)
    return {f"{PATCH} px patch": patch, "half of 50 superpixels": half}


def raw(model: str, inputs: Mapping[int, tuple[int, int]], batch: int) -> Callable[[], object]:
    """One raw call of ONNX Runtime, on noise; inputs by their channels."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    path: Path = find_model(model)
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds: dict[str, Any] = {}
    for one in session.get_inputs():
        noise = rng.random((batch, one.shape[1], *inputs[one.shape[1]]), np.float32)
        feeds[one.name] = noise if one.shape[1] == 3 else np.round(noise)
    return partial(session.run, None, feeds)


def rate(run: Callable[[], object], batch: int, seconds: float) -> Rate:
    """Images a second of calls side by side, for so many seconds at least."""
    run()  # the first call of a shape allocates
    wall, cpu = time.perf_counter(), time.process_time()

    def work() -> int:
        calls = 0
        while not calls or time.perf_counter() - wall < seconds:
            run()
            calls += 1
        return calls

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        calls = sum(future.result() for future in [pool.submit(work) for _ in range(SIDE_BY_SIDE)])
    n = calls * batch
    return Rate(n / (time.perf_counter() - wall), n / (time.process_time() - cpu))


if __name__ == "__main__":
    main()
