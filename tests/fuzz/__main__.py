"""Run many cases in a process with limits, print counts, and keep the seeds that failed."""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.fuzz.kinds import KINDS, run_case

OUTCOMES = ("right", "refused", "wrong", "traceback", "memory", "timeout", "crash")
GOOD = OUTCOMES[:2]
MOST_SECONDS = 30.0  # of a case
CASES_PER_PROCESS = 500  # so that what libraries keep does not add up


class Worker:
    """A process that runs one case at a time; it is replaced when it ends or is too slow."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()
        self.answers.get(timeout=120)

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")

    def run(self, kind: str, seed: int) -> dict[str, Any]:
        """Run a case; after a timeout or a crash, the process has ended."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind} {seed}\n")
        self.process.stdin.flush()
        try:
            line = self.answers.get(timeout=MOST_SECONDS)
        except queue.Empty:
            self.stop()
            return {"outcome": "timeout", "details": f"more than {MOST_SECONDS:g} s"}
        if not line:
            return {"outcome": "crash", "details": f"exit code {self.process.wait()}"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="for failures")
    parser.add_argument("--case", metavar="KIND:SEED", help="run one case here and show its end")
    options = parser.parse_args()
    if options.case:
        kind, seed = options.case.split(":")
        print(run_case(kind, int(seed)))
        return
    sys.exit(run(options.kind or list(KINDS), options.minutes, options.seed, options.keep))


def run(kinds: list[str], minutes: float, first_seed: int, keep: Path) -> int:
    """Run the kinds in turn until the time is over; return the exit code."""
    counts = {kind: collections.Counter[str]() for kind in kinds}
    slowest = dict.fromkeys(kinds, 0.0)
    end = time.monotonic() + 60 * minutes
    worker, n_cases = Worker(), 0
    for seed, kind in ((seed, kind) for seed in itertools.count(first_seed) for kind in kinds):
        if time.monotonic() > end:
            break
        if n_cases == CASES_PER_PROCESS or worker.process.poll() is not None:
            worker.stop()
            worker, n_cases = Worker(), 0
        answer = worker.run(kind, seed)
        n_cases += 1
        counts[kind][answer["outcome"]] += 1
        slowest[kind] = max(slowest[kind], answer.get("seconds", MOST_SECONDS))
        if answer["outcome"] not in GOOD:
            keep.mkdir(parents=True, exist_ok=True)
            text = f"{answer['details']}\npython -m tests.fuzz --case {kind}:{seed}\n"
            (keep / f"{kind}-{seed}-{answer['outcome']}.txt").write_text(text)
    worker.stop()
    print(f"{'kind':10s}{'cases':>8s}" + "".join(f"{name:>10s}" for name in OUTCOMES) + "  slowest")
    for kind in kinds:
        row = "".join(f"{counts[kind][name]:10d}" for name in OUTCOMES)
        print(f"{kind:10s}{counts[kind].total():8d}{row}{slowest[kind]:8.1f} s")
    failed = any(counts[kind][name] for kind in kinds for name in OUTCOMES if name not in GOOD)
    if failed:
        print(f"what failed is described in {keep}, with the commands that repeat it")
    return int(failed)


if __name__ == "__main__":
    main()
