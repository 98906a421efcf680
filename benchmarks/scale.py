"""How many workers one driver can feed: the real scheduler and row file, with simulated workers.

Workers answer after drawn times instead of running a model; what the driver does is real, and its
seconds are added to the simulated clock. What Ray adds per question is measured first, on two real
workers that answer at once.

    python -m benchmarks.scale --questions 1000000 --workers 1 10 100 1000
"""

from __future__ import annotations

import argparse
import heapq
import json
import pickle
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnxplain.cluster import Ray
from onnxplain.cluster.crew import gather_crew
from onnxplain.cluster.handing_out import Answer, Answered, Event, Joined, hand_out
from onnxplain.study.classifier_study import Rules, Step
from onnxplain.study.dataset import Item
from onnxplain.study.distributed import Assignment, Findings, Ledger
from onnxplain.study.rows import RowFile, make_key

PER_IMAGE = 12  # methods


def make_rows(item: Item, explainer: int) -> tuple[dict[str, Any], ...]:
    """Make rows of the size of real ones: two metrics for one image and method."""
    common = {
        "kind": "score",
        "version": "0.1.0",
        "model": "efficientnet-lite0.onnx",
        "model_sha256": "0" * 64,
        "preprocessing": {"size": [224, 224], "range": [-1, 1], "fit": "crop", "crop": 0.875},
        "image": item.file,
        "image_sha256": "1" * 64,
        "labelled": True,
        "target": 281,
        "target_name": "tabby, tabby cat",
        "status": "done",
        "seed": 0,
        "method": f"method-{explainer}",
        "method_parameters": {"n_masks": 4000, "grid": 7, "keep": 0.5},
        "fill": "dataset-mean",
        "fill_parameters": {},
    }
    return tuple(
        {
            "key": make_key({"file": item.file, "explainer": explainer, "metric": metric}),
            **common,
            "metric": metric,
            "metric_parameters": {"step": 1792, "ties": "row-major"},
            "metric_fill": "black",
            "metric_fill_parameters": {},
            "direction": "lower",
            "unit": "mean probability",
            "value": 0.123456789,
            "details": {"curve": [0.123456789] * 29},
        }
        for metric in ("deletion", "insertion")
    )


class Answering(NamedTuple):
    """A worker that answers at once, with rows like real ones."""

    def __call__(self, halvings: int) -> Callable[[Assignment], Findings]:
        """Return what answers."""

        def answer(assignment: Assignment) -> Findings:
            rows = make_rows(assignment.item, assignment.explainer)
            return Findings([Step(tuple(row["key"] for row in rows), rows, 1)], 0)

        return answer


@dataclass
class SimulatedCrew:
    """Workers that answer after drawn times; the clock includes what the driver does."""

    n_workers: int
    seconds: float  # mean of a question
    ray_seconds: float  # that Ray costs the driver per question
    now: float = 0.0
    busy: float = 0.0  # seconds of the driver
    worked: float = 0.0  # seconds of all workers
    _ends: list[tuple[float, int]] = field(default_factory=list)
    _held: dict[int, deque[Assignment]] = field(default_factory=dict)
    _free_at: dict[int, float] = field(default_factory=dict)
    _left: float = field(default_factory=time.perf_counter)
    _rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def give(self, worker: int, task: Assignment) -> None:
        """Give a task to a worker; it begins when those before it are answered."""
        took = self.seconds * float(self._rng.lognormal(-0.125, 0.5))  # mean 1
        self._free_at[worker] = max(self._free_at[worker], self.now) + took
        self.worked += took
        self._held[worker].append(task)
        heapq.heappush(self._ends, (self._free_at[worker], worker))

    def wait(self) -> Sequence[Event[Any, Any]]:
        """Return the next answer; what the driver did since the last one has taken its time."""
        if not self._held:
            self._held = {worker: deque() for worker in range(self.n_workers)}
            self._free_at = dict.fromkeys(self._held, 0.0)
            self._left = time.perf_counter()
            return [Joined(worker) for worker in self._held]
        spent = time.perf_counter() - self._left + self.ray_seconds
        self.busy += spent
        end, worker = heapq.heappop(self._ends)
        self.now = max(self.now + spent, end)
        task = self._held[worker].popleft()
        rows = make_rows(task.item, task.explainer)
        value = Findings([Step(tuple(row["key"] for row in rows), rows, 1)], 0)
        self._left = time.perf_counter()  # making the answer is the worker's time
        return [Answered(worker, task, value)]


def ask(n: int) -> Iterator[Assignment]:
    """Yield n questions."""
    for i in range(n):
        name = f"n02123045/ILSVRC2012_val_{i // PER_IMAGE:08d}.JPEG"
        yield Assignment(0, Item(name, Path("/data") / name, 281), i % PER_IMAGE, {})


def measure_ray(n: int) -> float:
    """Return what Ray costs the driver per question, in seconds, on two real workers."""
    with gather_crew(Ray(workers=2), Answering()) as crew:
        answers: Iterator[Answer[Assignment, Findings]] = hand_out(crew, ask(n + 20))
        for _ in range(20):
            next(answers)
        began = time.process_time()
        for _ in answers:
            pass
        return (time.process_time() - began) / n


def simulate(n: int, workers: int, seconds: float, ray_seconds: float) -> dict[str, float]:
    """Hand out n questions, write their rows, and return what it took."""
    crew = SimulatedCrew(workers, seconds, ray_seconds)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger((), (), (), Rules(), RowFile(Path(folder) / "rows.jsonl"))
        answers: Iterator[Answer[Assignment, Findings]] = hand_out(crew, ask(n))
        for answer in answers:
            ledger.take(answer)
    return {
        "workers": workers,
        "per_second": n / crew.now,
        "could": workers / seconds,
        "share_of_time_at_work": crew.worked / (crew.now * workers),
        "driver_ms": 1e3 * crew.busy / n,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--seconds", type=float, default=2.0, help="mean time of a question")
    parser.add_argument("--quick", action="store_true", help="2,000 questions, without Ray")
    args = parser.parse_args()
    n = 2000 if args.quick else args.questions
    ray_seconds = 0.0 if args.quick else measure_ray(2000)
    (assignment,) = ask(1)
    (_, done) = (assignment, Answering()(0)(assignment))
    sent, returned = len(pickle.dumps(assignment)), len(pickle.dumps(done))
    row_bytes = sum(len(json.dumps(row)) + 1 for row in done.steps[0].rows)
    print(f"a question: {sent} bytes to the worker, {returned} back, {row_bytes} in the row file")
    print(f"Ray: {1e3 * ray_seconds:.2f} ms of the driver per question")
    print("| workers | questions/s | workers could do | at work | driver, ms/question |")
    print("|---:|---:|---:|---:|---:|")
    for workers in args.workers:
        most = min(n, max(2000, workers * 500))  # a steady state is reached long before
        at = simulate(
            n if workers == max(args.workers) else most, workers, args.seconds, ray_seconds
        )
        print(
            f"| {workers} | {at['per_second']:.1f} | {at['could']:.1f} | "
            f"{at['share_of_time_at_work']:.0%} | {at['driver_ms']:.2f} |"
        )


if __name__ == "__main__":
    main()
