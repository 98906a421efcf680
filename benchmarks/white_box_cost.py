"""Cost of the methods that look inside: in runs of the model, and memory by number of images.

    python -m benchmarks.white_box_cost runs MODEL...
    python -m benchmarks.white_box_cost memory

`runs` divides the processor time of an explanation by that of scoring the image, in turns, on the
same batches. Explanations are timed from the first query of the method to its heatmap; the score
that `explain` puts into its record comes on top, as one run. Processor time counts all threads,
and is disturbed less by other programs than the clock.

`memory` gives the peak resident memory of explaining 4 and 64 images in processes of their own.
"""

from __future__ import annotations

import logging
import statistics
import subprocess
import sys
from typing import Any

import click
import numpy as np

import onnxplain
from benchmarks.common import PHOTO, describe_machine, format_spread, measure_cpu, read_photo
from onnxplain.core.data import Case
from onnxplain.core.flow import NO_FILL, Method, WhiteBox
from onnxplain.engine.run import collect_values, make_jobs
from onnxplain.engine.settle import settle_method
from onnxplain.fills.constant import Black
from onnxplain.fills.nothing import Nothing
from onnxplain.registry import METHODS, make_method

N_IMAGES = 4
LONG = {"score-cam"}  # a run of the model per channel
FEW: dict[str, dict[str, Any]] = {
    "ig": {"n_points": 16, "tolerance": 0},
    "smoothgrad": {"n_samples": 10},
}
RUN = """
import sys
import numpy as np
import onnxplain
from benchmarks.common import read_peak_mib, read_photo
classifier = onnxplain.load("efficientnet-lite0", device="cpu", batch_size=4)
photo = read_photo(224)
images = (np.roll(photo, i, axis=1) for i in range(int(sys.argv[2])))
for result in onnxplain.explain_many(classifier, images, sys.argv[1], progress=False):
    pass
print(read_peak_mib())
"""


@click.group(help=__doc__)
def main() -> None:
    logging.disable(logging.WARNING)  # of maps that are empty


@main.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--rounds", default=7, show_default=True)
@click.option("--method", "methods", multiple=True, help="Only these.")
@click.option("--preprocessing", help="As for onnxplain explain.")
def runs(
    models: tuple[str, ...], rounds: int, methods: tuple[str, ...], preprocessing: str | None
) -> None:
    """Print the cost of each method in runs of the model."""
    print(describe_machine())
    for model in models:
        given: dict[str, Any] = {"preprocessing": preprocessing} if preprocessing else {}
        classifier = onnxplain.load(model, device="cpu", batch_size=N_IMAGES, **given)
        photo = read_photo(256)
        rows, columns = classifier.size
        images = np.stack([photo[i : i + rows, i : i + columns] for i in range(N_IMAGES)])
        print(f"\n{model}\n\n| method | runs of the model |\n|---|---|")
        for name in methods or sorted(METHODS):
            method = make_method(name, FEW.get(name, {}))
            if not isinstance(method, WhiteBox):
                continue
            costs = measure_cost(classifier, images, method, 1 if name in LONG else rounds)
            shown = ", ".join(f"{key}={value}" for key, value in FEW.get(name, {}).items())
            text = f"{name} ({shown})" if shown else name
            print(f"| {text} | {format_spread(costs, 2)} |", flush=True)


def measure_cost(classifier: Any, images: Any, method: Method, rounds: int) -> list[float]:
    """Return the cost of a method in runs of the model, once per round."""
    method, gradients = settle_method(method, classifier)
    fill = Nothing() if method.usual_fill == NO_FILL else Black()
    targets = classifier.scores(images).argmax(axis=1)

    def explain() -> None:
        jobs = []
        for i, image in enumerate(images):
            jobs += make_jobs(method, [Case(f"photo{i}", image, int(targets[i]))], fill, 0)
        collect_values(classifier, jobs, gradients=gradients)

    costs = []
    if rounds > 1:
        explain()  # warm-up
    for _ in range(rounds):
        alone = statistics.median(measure_cpu(lambda: classifier.scores(images)) for _ in range(3))
        costs.append(measure_cpu(explain) / alone)
    return costs


@main.command()
@click.option("--method", "methods", multiple=True, default=("grad-cam", "combined", "fullgrad"))
def memory(methods: tuple[str, ...]) -> None:
    """Print the peak memory for few and for many images."""
    print(describe_machine())
    print("\n| method | 4 images, MiB | 64 images, MiB | difference |\n|---|---|---|---|")
    for method in methods:
        few, many = (measure_peak(method, n) for n in (4, 64))
        print(f"| {method} | {few:.0f} | {many:.0f} | {many - few:+.0f} |", flush=True)


def measure_peak(method: str, n: int) -> float:
    """Measure the peak memory of explaining n images, in MiB."""
    run = subprocess.run(
        [sys.executable, "-c", RUN, method, str(n)],
        capture_output=True,
        text=True,
        check=True,
        cwd=PHOTO.parents[1],
    )
    return float(run.stdout.split()[-1])


if __name__ == "__main__":
    main()
