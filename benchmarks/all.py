"""Every benchmark that needs no other files, small, with its aim.

    python -m benchmarks.all --quick             # about two minutes on two idle cores
    python -m benchmarks.all --quick --only rise --only startup
    python -m benchmarks.all                     # the same, with more rounds and larger runs

Each line is a ratio or a figure, its aim, and whether it was met. The checks whose names begin
with the letters after `--only` are run. With `--strict` the exit status is 1 if an aim is missed.
Ratios by CPU seconds are hardly disturbed by other work on the machine, ratios by the clock are.

Not here, as they need other environments, files or hours: peers, evaluation_peers, sampling_peers,
white_box_peers, transformer_peers, paper_tables, paper_programs, gradient_exports,
gradient_coverage, mp2_modes, quick_spg, refine, incremental, inpainting, inpainter_operators,
sampling, generative_trial, sensitivity, scale, ray_overhead, gpu.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import click
import numpy as np

import onnxplain
from benchmarks.common import PHOTO, RawPlan, RawRunner, describe_machine, device_option
from benchmarks.evaluation import CROPS, CURVES, count_evaluations, make_photos, run_study
from benchmarks.memory import measure_peak
from benchmarks.rows import STEPS, measure_steps
from benchmarks.startup import time_command
from benchmarks.throughput import measure_beside_raw
from onnxplain.core.flow import Method
from onnxplain.fills import Blur
from onnxplain.methods import LIME, MP2, RISE, SP, Banzhaf
from onnxplain.runtime import OnnxClassifier
from onnxplain.zoo import build_model

MODEL = "efficientnet-lite0"


@dataclass(frozen=True)
class Figures:
    """What a check found: the figure that has an aim, and the same by CPU seconds if known."""

    value: float
    by_cpu: float | None = None


@dataclass(frozen=True)
class Check:
    """A benchmark with its aim; the figure must be at least the aim, or at most."""

    name: str
    aim: float
    measure: Callable[[], Figures]
    at_least: bool = True
    unit: str = ""

    def run(self) -> bool:
        """Measure and print a line; return whether the aim was met."""
        figures = self.measure()
        best = figures.value if figures.by_cpu is None else max(figures.value, figures.by_cpu)
        met = best >= self.aim if self.at_least else figures.value <= self.aim
        cpu = "" if figures.by_cpu is None else f"{figures.by_cpu:.3f}"
        sign = ">=" if self.at_least else "<="
        print(
            f"| {self.name} | {figures.value:.3f}{self.unit} | {cpu} "
            f"| {sign} {self.aim:g}{self.unit} | {'yes' if met else 'NO'} |",
            flush=True,
        )
        return met


class Workbench:
    """What the checks share, made when it is first needed."""

    def __init__(self, *, quick: bool, device: str) -> None:
        self.quick, self.device = quick, device
        self.rounds = 2 if quick else 5
        self.n_raw = 96 if quick else 384  # before and after each run

    @cached_property
    def classifier(self) -> OnnxClassifier:
        """The default classifier."""
        classifier = onnxplain.load(MODEL, device=self.device)
        onnxplain.explain(classifier, PHOTO, LIME(n_samples=50))  # warm-up
        return classifier

    @cached_property
    def raw(self) -> tuple[RawRunner, RawPlan]:
        """Raw ONNX Runtime and its fastest plan."""
        runner = RawRunner(build_model(MODEL), (3, *self.classifier.size), self.device)
        if self.quick:
            return runner, runner.find_best_plan(2, 32, n_rounds=3)
        return runner, runner.find_best_plan(2, 64)

    def compare(self, run: Callable[[], object], count: Callable[[], int]) -> Figures:
        """Compare a run with raw ONNX Runtime; medians of the rounds."""
        runner, plan = self.raw
        rounds = [
            measure_beside_raw(runner, plan, run, count, self.n_raw) for _ in range(self.rounds)
        ]
        return Figures(*(statistics.median(figures[i] for figures in rounds) for i in (2, 3)))

    def explain(self, method: Method) -> Figures:
        """Compare an explanation with raw ONNX Runtime."""
        run = partial(onnxplain.explain, self.classifier, PHOTO, method)
        return self.compare(run, lambda: method.evaluations(self.classifier.size))

    def judge(self, *metrics: str) -> Figures:
        """Compare a study of random heatmaps, from files of photos to rows, with raw runs."""
        with tempfile.TemporaryDirectory() as folder:
            photos = make_photos(Path(folder, "photos"), 8 if self.quick else 24)
            outputs: list[Path] = []

            def run() -> None:
                outputs.append(Path(folder, f"study-{len(outputs)}"))
                run_study(self.classifier, photos, outputs[-1], metrics, None)

            return self.compare(run, lambda: count_evaluations(outputs[-1]))

    def count_mp2(self) -> Figures:
        """Compare the evaluations of MP2's full sweep with those of its default sweep."""
        few: dict[str, Any] = {
            "grid": 7 if self.quick else 14,
            "max_area": 0.2,
            "gain": "difference",
        }
        full, coarse = (
            onnxplain.explain(self.classifier, PHOTO, MP2(sweep=sweep, **few), fill=Blur())
            for sweep in ("full", "coarse")
        )
        return Figures(full.evaluations / coarse.evaluations)

    def agree(self) -> Figures:
        """Correlate Banzhaf values of 128 evaluations with those of others."""
        n_replicates = 3 if self.quick else 12
        first, rest = (
            onnxplain.explain(self.classifier, PHOTO, Banzhaf(n_replicates=n), seed=seed).coarse
            for n, seed in ((1, 0), (n_replicates, 1))
        )
        assert first is not None
        assert rest is not None
        return Figures(float(np.corrcoef(first.ravel(), rest.ravel())[0, 1]))


def weigh_rows(n: int) -> Figures:
    """Return the largest memory of joining, tables and the report of n rows, in MiB."""
    return Figures(max(cost.peak_mib for _, cost, _ in measure_steps(n)))


def time_python(*arguments: str) -> Figures:
    """Time a command of Python, the best of five."""
    return Figures(min(time_command(sys.executable, *arguments) for _ in range(5)))


def list_checks(bench: Workbench) -> list[Check]:
    """List all checks; quick runs are short, so that what is done once per run weighs more."""
    quick = bench.quick
    aim = 0.85 if quick else 0.95
    grown = (200, 1600) if quick else (500, 8000)
    n_rows = 3_000 if quick else 1_000_000
    return [
        Check(f"{name} over raw ONNX Runtime", aim, partial(bench.explain, method))
        for name, method in (
            ("sp", SP(stride=12 if quick else 3)),
            ("lime", LIME(n_samples=256 if quick else 1000)),
            ("rise", RISE(n_masks=256 if quick else 4000)),
            ("banzhaf", Banzhaf(n_replicates=2 if quick else 12)),
        )
    ] + [
        Check(
            "deletion over raw ONNX Runtime",
            0.7 if quick else 0.95,
            partial(bench.judge, CURVES[0]),
        ),
        Check("all metrics over raw", 0.8 if quick else 0.9, partial(bench.judge, *CURVES, CROPS)),
        Check("mp2, full sweep over coarse", 1.5 if quick else 4, bench.count_mp2),
        Check("agreement of banzhaf, N=128", 0.8, bench.agree),
        Check(
            f"memory of rise, N={grown[1]:,} less N={grown[0]:,}",
            30,
            lambda: Figures(
                measure_peak(grown[1], bench.device) - measure_peak(grown[0], bench.device)
            ),
            at_least=False,
            unit=" MiB",
        ),
        Check(
            f"rows: memory of {', '.join(STEPS)}, {n_rows:,} rows",
            2048,
            partial(weigh_rows, n_rows),
            at_least=False,
            unit=" MiB",
        ),
        Check(
            "startup, --version",
            0.3,
            partial(time_python, "-m", "onnxplain", "--version"),
            at_least=False,
            unit=" s",
        ),
        Check(
            "startup, import",
            0.5,
            partial(time_python, "-c", "import onnxplain"),
            at_least=False,
            unit=" s",
        ),
    ]


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Small runs, two rounds.")
@click.option("--only", multiple=True, help="The beginning of a check's name.")
@click.option("--strict", is_flag=True, help="Exit with 1 if an aim is missed.")
@device_option
def main(quick: bool, only: tuple[str, ...], strict: bool, device: str) -> None:
    chosen = [
        check
        for check in list_checks(Workbench(quick=quick, device=device))
        if check.name.startswith(only or "")
    ]
    if not chosen:
        raise click.UsageError(f"no check begins with {' or '.join(only)}")
    print(f"{describe_machine()}; {MODEL}, {device}\n")
    print("| check | figure | by CPU seconds | aim | met |\n|---|--:|--:|--:|---|", flush=True)
    met = [check.run() for check in chosen]
    print(f"\n{sum(met)} of {len(met)} aims met")
    if strict and not all(met):
        sys.exit(1)


if __name__ == "__main__":
    main()
