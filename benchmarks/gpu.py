"""All that is to be known of a GPU, in one call of at most nine minutes.

    python -m benchmarks.gpu [--device cuda] [--model efficientnet-lite0] [--minutes 9] [--quick]

Prints a table of figures with what they should be, section by section: loading, scores against
the CPU, raw ONNX Runtime with images on the device by batch size, composing by family of masks,
gradients, whole explanations, inpainting, pictures composed where they are painted, and what
happens when memory runs out. A section that fails says so, and the others go on; those that no
time is left for are named. `--quick` runs everything small, on any device, to see that it runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

import onnxplain
from benchmarks.common import PHOTO, describe_machine, measure_seconds
from onnxplain.core.protocols import Inpainter, Masks, Part
from onnxplain.masks.families import CellMasks, GridMasks, PatchMasks, SegmentMasks
from onnxplain.runtime import OnnxClassifier, tuning


class Figure(NamedTuple):
    """A row of the table: what was measured, and what it should be ("" if nothing is expected)."""

    what: str
    value: Any
    aim: str = ""


Figures = Iterator[Figure]


class ForHost:
    """An inpainter whose pictures go to the host, as those of other frameworks do."""

    def __init__(self, inpainter: Inpainter) -> None:
        self.inpaint = inpainter.inpaint
        self.batch_size = inpainter.batch_size
        self.provenance = inpainter.provenance


@dataclass
class Bench:
    """The classifier on the device and on the CPU, and how much to do."""

    model: str
    device: str
    quick: bool
    peak: float = float("nan")  # images per second of raw ONNX Runtime

    @cached_property
    def gpu(self) -> OnnxClassifier:
        """The classifier on the device; its batch size is small if all is."""
        return onnxplain.load(self.model, device=self.device, batch_size=4 if self.quick else None)

    @cached_property
    def cpu(self) -> OnnxClassifier:
        """The same on the CPU."""
        return onnxplain.load(self.model, device="cpu", batch_size=8)

    @property
    def seconds(self) -> float:
        """Time for a measurement of speed."""
        return 0.0 if self.quick else 1.0

    @property
    def n(self) -> int:
        """Images where a batch of 8 is enough."""
        return 4 if self.quick else 8

    def draw(self, n: int) -> NDArray[np.float32]:
        """Draw n random images."""
        return np.random.default_rng(0).random((n, *self.gpu.size, 3), np.float32)


def measure_loading(bench: Bench) -> Figures:
    yield Figure("seconds to load", round(measure_seconds(lambda: bench.gpu), 1), "< 30 once, < 5")
    record = bench.gpu.provenance
    for key in ("gpu", "driver", "cuda", "cudnn", "placement", "heavy_on_cpu", "batch_size"):
        yield Figure(key, record.get(key, "-"), "{}" if key == "heavy_on_cpu" else "")


def compare_scores(bench: Bench) -> Figures:
    images = bench.draw(2 * bench.n)
    expected = bench.cpu.scores(images)
    for tf32, aim in ((False, "<= 1e-4"), (True, "<= 5e-3")):
        model = onnxplain.load(bench.model, device=bench.device, batch_size=2 * bench.n, tf32=tf32)
        scores = model.scores(images)
        name = f"largest difference from the CPU, {'TF32' if tf32 else 'float32'}"
        yield Figure(name, format_error(scores, expected), aim)
    again = bench.gpu.scores(images)
    yield Figure("same scores again", np.array_equal(again, bench.gpu.scores(images)), "True")


def measure_raw(bench: Bench) -> Figures:
    """Measure ONNX Runtime alone, on images that are on the device."""
    spec = bench.gpu.spec
    sizes = (1, 4) if bench.quick else (1, *tuning.GPU_SIZES)
    for tf32 in (False, True):
        model = onnxplain.load(bench.model, device=bench.device, batch_size=sizes[-1], tf32=tf32)
        rates = {}
        for n in sizes:
            batch = model._session.upload(np.zeros((n, *get_shape(bench)), spec.dtype))

            def run(model: OnnxClassifier = model, batch: Any = batch) -> None:
                model._session.run({spec.input: batch}, [spec.output])

            first = measure_seconds(run)
            rates[n] = n / measure_call(run, bench.seconds)
            name = f"raw images/s, batch {n}, {'TF32' if tf32 else 'float32'}"
            yield Figure(name, f"{rates[n]:.0f} (first call {first:.2f} s)")
        if not tf32:
            bench.peak = max(rates.values())


def measure_composing(bench: Bench) -> Figures:
    n = 16 if bench.quick else 4096
    image, fill = bench.draw(2)
    host = bench.cpu.planes(image, fill)
    planes = bench.gpu.planes(image, fill)
    for name, masks in make_families(n, bench.gpu.size).items():
        scores = bench.gpu.masked_scores([Part(planes, masks, 0, 16)])
        expected = bench.cpu.masked_scores([Part(host, masks, 0, 16)])
        yield Figure(
            f"{name} masks, difference from the CPU", format_error(scores, expected), "<= 1e-4"
        )

        def run(masks: Masks = masks) -> None:
            bench.gpu.masked_scores([Part(planes, masks, 0, n)])

        rate = n / measure_call(run, bench.seconds)
        yield Figure(f"{name} masks, evaluations/s", round(rate))
        yield Figure(f"{name} masks, ratio to raw", round(rate / bench.peak, 3), ">= 0.95")


def measure_gradients(bench: Bench) -> Figures:
    gradients = []
    yield Figure(
        "seconds to build gradients",
        round(measure_seconds(lambda: gradients.append(bench.gpu.gradients())), 1),
        "< 20",
    )
    most = bench.n
    images, targets = bench.draw(most), np.zeros(most, np.int64)

    def run(n: int) -> NDArray[np.float32]:
        return gradients[0].score_grads(images[:n], targets[:n], "log-odds")[1]

    _, expected = bench.cpu.gradients().score_grads(images, targets, "log-odds")
    got = run(most)
    error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
    yield Figure("relative error of gradients", f"{error:.1e}", "<= 1e-3")
    yield Figure("same gradients again", np.array_equal(got, run(most)), "True")
    rate = most / measure_call(lambda: run(most), bench.seconds)
    on_cpu = most / measure_call(
        lambda: bench.cpu.gradients().score_grads(images, targets, "log-odds"), bench.seconds
    )
    yield Figure(f"gradients/s, batch {most}", round(rate))
    yield Figure("times those of one CPU core", round(rate / on_cpu, 1), "> 20")

    def change_width() -> None:
        for n in (1, 2, 3, 1, 2, 3):
            run(n)

    change_width()
    ratio = measure_seconds(change_width) / (6 * most / rate)
    yield Figure(f"six calls of 1 to 3 images, by six of {most}", round(ratio, 2), "<= 1.1")


def measure_methods(bench: Bench) -> Figures:
    methods: dict[str, Any] = {
        "sp": onnxplain.SP(),
        "lime": onnxplain.LIME(),
        "rise": onnxplain.RISE(),
        "mp2": onnxplain.MP2(),
    }
    if bench.quick:
        methods = {"lime": onnxplain.LIME(n_samples=16)}
    for name, method in methods.items():
        onnxplain.explain(bench.gpu, PHOTO, onnxplain.LIME(n_samples=8))  # warm-up
        began = time.perf_counter()
        explanation = onnxplain.explain(bench.gpu, PHOTO, method)
        seconds = time.perf_counter() - began
        yield Figure(f"{name}: seconds", round(seconds, 2))
        ratio = explanation.evaluations / seconds / bench.peak
        yield Figure(f"{name}: evaluations/s by raw", round(ratio, 3), ">= 0.9" * (name != "mp2"))
        if name == "lime":
            expected = onnxplain.explain(bench.cpu, PHOTO, method).heatmap
            with np.errstate(invalid="ignore"):  # of a map that is all alike
                correlation = np.corrcoef(expected.ravel(), explanation.heatmap.ravel())[0, 1]
            yield Figure(
                f"{name}: correlation with the CPU's map", round(correlation, 5), ">= 0.999"
            )


def measure_inpainting(bench: Bench) -> Figures:
    painter = onnxplain.load_inpainter(device=bench.device)
    host = onnxplain.load_inpainter(device="cpu")
    yield Figure("inpainter: placement", painter.record()["placement"])
    images, masks = bench.draw(bench.n), np.zeros((bench.n, *bench.gpu.size), np.float32)
    masks[:, 30:60, 30:60] = 1
    painted = painter.inpaint(images, masks)
    error = format_error(painted, host.inpaint(images, masks))
    yield Figure("inpainter: difference from the CPU", error, "<= 2e-3")
    rate = bench.n / measure_call(lambda: painter.inpaint(images, masks), bench.seconds)
    yield Figure("inpaints/s", round(rate))


def measure_painted(bench: Bench) -> Figures:
    """Measure SP-G with pictures that stay on the device, and with pictures that the host gets."""
    painter = onnxplain.load_inpainter(device=bench.device)
    method = onnxplain.SP(stride=30) if bench.quick else onnxplain.SP()
    seconds, maps = [], []
    for inpainter in (painter, ForHost(painter)):
        fill = onnxplain.Inpaint(inpainter)
        onnxplain.explain(bench.gpu, PHOTO, onnxplain.SP(stride=30), fill=fill)  # warm-up
        began = time.perf_counter()
        maps.append(onnxplain.explain(bench.gpu, PHOTO, method, fill=fill).heatmap)
        seconds.append(time.perf_counter() - began)
    yield Figure("sp-g: seconds", round(seconds[0], 1))
    yield Figure("sp-g composed on the host: seconds", round(seconds[1], 1), "more")
    yield Figure("sp-g: difference between the two", format_error(*maps), "<= 1e-4")


def exhaust_memory(bench: Bench) -> Figures:
    large = onnxplain.load(
        bench.model, device=bench.device, batch_size=16 if bench.quick else 32768
    )
    image, fill = bench.draw(2)
    n = 16 if bench.quick else 64
    masks = make_families(n, bench.gpu.size)["grid"]
    scores = large.masked_scores([Part(large.planes(image, fill), masks, 0, n)])
    expected = bench.cpu.masked_scores([Part(bench.cpu.planes(image, fill), masks, 0, n)])
    yield Figure("huge batch: ended at", large.batch_size)
    yield Figure("huge batch: difference from the CPU", format_error(scores, expected), "<= 1e-4")


SECTIONS: tuple[Callable[[Bench], Figures], ...] = (
    measure_loading,
    compare_scores,
    measure_raw,
    measure_composing,
    measure_gradients,
    measure_methods,
    measure_inpainting,
    measure_painted,
    exhaust_memory,
)


@click.command(help=__doc__)
@click.option("--device", default="cuda", show_default=True, help="Where it runs.")
@click.option(
    "--model", default="efficientnet-lite0", show_default=True, help="In the zoo, or a file."
)
@click.option("--minutes", default=9.0, show_default=True, help="Begin no section after that.")
@click.option("--quick", is_flag=True, help="Run everything small.")
def main(device: str, model: str, minutes: float, quick: bool) -> None:
    bench, began = Bench(model, device, quick), time.perf_counter()
    print(f"{describe_machine()}; {model} on {device}\n\n| what | figure | aim |\n|---|---|---|")
    for section in SECTIONS:
        name = section.__name__
        if time.perf_counter() - began > 60 * minutes:
            print(f"| {name} | left out: no time | |")
            continue
        try:
            for figure in section(bench):
                print(f"| {figure.what} | {figure.value} | {figure.aim} |", flush=True)
        except Exception as error:  # one section that fails leaves the others
            print(f"| {name} | FAILED: {type(error).__name__}: {error} | |".replace("\n", " "))
    print(f"\n{time.perf_counter() - began:.0f} s in all")


def make_families(n: int, size: tuple[int, int]) -> dict[str, Masks]:
    """Make n masks of the families that methods use most."""
    rng = np.random.default_rng(0)
    rows, columns = size
    labels = np.arange(rows * columns).reshape(size) * 50 // (rows * columns)
    return {
        "patch": PatchMasks(rng.integers(0, rows - 64, (n, 2)), 64, size),
        "grid": GridMasks(
            rng.integers(0, 2, (n, 7, 7)).astype(np.uint8), rng.integers(0, rows // 7, (n, 2)), size
        ),
        "segment": SegmentMasks(labels, rng.integers(0, 2, (n, 50)).astype(np.uint8)),
        "bits": CellMasks(rng.random((n, 28, 28)) < 0.5, size),
    }


def get_shape(bench: Bench) -> tuple[int, ...]:
    """Return the shape of an image as the model takes it."""
    spec = bench.gpu.spec
    sides, channels = spec.size, len(spec.mean)
    return (channels, *sides) if spec.layout == "nchw" else (*sides, channels)


def measure_call(action: Callable[[], object], seconds: float) -> float:
    """Return the median seconds of a call, after one that does not count."""
    action()
    times: list[float] = []
    while not times or sum(times) < seconds:
        times.append(measure_seconds(action))
    return float(np.median(times))


def format_error(values: NDArray[np.float32], expected: NDArray[np.float32]) -> str:
    """Format the largest difference."""
    return f"{np.abs(values - expected).max():.1e}"


if __name__ == "__main__":
    main()
