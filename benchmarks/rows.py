"""Many rows: joining, tables and the report of a study, with the largest memory of each.

    python -m benchmarks.rows --rows 10000 100000 1000000

The rows are made up, of the size of real ones: 12 methods and two metrics with curves, so that
a million rows are 41,667 photos. Each step is a process of its own, that opens the files as a user
would: `merge` joins two halves, `tables` opens the rows as `evaluate` does when all is done, and
writes the tables, `report` writes the page beside them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.common import describe_machine, read_peak_mib
from benchmarks.scale import PER_IMAGE, make_rows
from onnxplain.report import write_report
from onnxplain.study.dataset import Item
from onnxplain.study.plan import Plan
from onnxplain.study.result import ROWS_FILE, Study
from onnxplain.study.rows import Row, RowFile, merge_rows

STEPS = ("merge", "tables", "report")
N_SHARES = 29  # of a curve
ROOT = Path(__file__).resolve().parents[1]


class Cost(NamedTuple):
    """What a step took."""

    seconds: float
    processor_seconds: float
    peak_mib: float


def iterate_rows(n: int) -> Iterator[Row]:
    """Yield n rows of scores with drawn curves, photo by photo."""
    rng = np.random.default_rng(0)
    shares = np.linspace(0, 1, N_SHARES).tolist()
    for i in range(-(-n // 2)):
        name = f"n02123045/ILSVRC2012_val_{i // PER_IMAGE:08d}.JPEG"
        for row in make_rows(Item(name, Path(name), 281), i % PER_IMAGE)[: n - 2 * i]:
            curve = np.sort(rng.random(N_SHARES))[::-1]
            details = {"curve": curve.tolist(), "share": shares}
            yield {**row, "value": float(curve.mean()), "details": details}


def write_halves(n: int, folder: Path) -> None:
    """Write the rows as two parts of a study would."""
    for part in ("part1", "part2"):
        (folder / part).mkdir()
    with (
        (folder / "part1" / ROWS_FILE).open("w") as first,
        (folder / "part2" / ROWS_FILE).open("w") as second,
    ):
        for place, row in enumerate(iterate_rows(n)):
            print(json.dumps(row), file=first if place < n / 2 else second)


def run_step(step: str, folder: Path) -> None:
    """Do one of the steps."""
    rows = folder / ROWS_FILE
    if step == "merge":
        merge_rows([folder / part / ROWS_FILE for part in ("part1", "part2")], rows)
    elif step == "tables":
        store = RowFile(rows)
        store.check(store.done)
        study = Study(Plan(), folder, frozenset(store.done))
        study.write_tables()
        assert not study.failures
    else:
        write_report(rows, folder / "report.html")


def measure_steps(n: int) -> Iterator[tuple[str, Cost, float]]:
    """Do each step on n rows in a process of its own; yield its name, its cost and the MB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_halves(n, folder)
        for step in STEPS:
            command = (sys.executable, "-m", "benchmarks.rows", "--step", step, "--folder", name)
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
            size = (folder / ROWS_FILE).stat().st_size / 1e6
            yield step, Cost(*json.loads(done.stdout)), size


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        began, busy = time.perf_counter(), time.process_time()
        run_step(args.step, args.folder)
        seconds = [time.perf_counter() - began, time.process_time() - busy]
        print(json.dumps([*seconds, read_peak_mib()]))
        return
    print(f"{describe_machine()}\n")
    print("| rows | MB | step | seconds | CPU seconds | largest memory, MiB |")
    print("|---:|---:|---|---:|---:|---:|", flush=True)
    for n in args.rows:
        for step, cost, size in measure_steps(n):
            print(
                f"| {n} | {size:.0f} | {step} | {cost.seconds:.1f} | "
                f"{cost.processor_seconds:.1f} | {cost.peak_mib:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
