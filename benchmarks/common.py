"""What the benchmarks share: the model, the photo, raw ONNX Runtime, and how figures are told."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from onnxplain.image import place_frame, read_image

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
PHOTO = Path(__file__).resolve().parents[1] / "examples" / "coffee.jpg"


def photo(side: int) -> NDArray[np.float32]:
    """The centre square of the photo, (side, side, 3) in [0, 1]."""
    picture = read_image(PHOTO)
    rows, columns, _ = picture.shape
    return place_frame((rows, columns), (side, side)).bring(picture)


@dataclass(frozen=True)
class Plan:
    """One way to run raw ONNX Runtime: batch size, threads within a call, calls side by side."""

    batch_size: int
    intra_threads: int
    workers: int

    def __str__(self) -> str:
        """Such as ``batch 8, 2 x 1 threads``."""
        return f"batch {self.batch_size}, {self.workers} x {self.intra_threads} threads"


def plans(threads: int) -> list[Plan]:
    """All the ways worth trying: several batch sizes, the threads within or beside calls."""
    return [
        Plan(batch_size, intra, workers)
        for batch_size in BATCH_SIZES
        for intra, workers in ((threads, 1), (1, threads))
    ]


class Raw:
    """Raw ONNX Runtime on ready-made input: the ceiling that an engine is measured against."""

    def __init__(self, model: Path, shape: tuple[int, ...]) -> None:
        self._model = model
        self._sessions: dict[int, ort.InferenceSession] = {}
        rng = np.random.default_rng(0)
        self._noise: NDArray[np.float32] = rng.random((BATCH_SIZES[-1], *shape), np.float32)

    def run(self, plan: Plan, n_images: int) -> None:
        """Score so many images, a multiple of the batch size."""
        session = self._session(plan.intra_threads)
        name = session.get_inputs()[0].name
        batch = self._noise[: plan.batch_size]
        with ThreadPoolExecutor(plan.workers) as pool:
            calls = range(n_images // plan.batch_size)
            list(pool.map(lambda _: session.run(None, {name: batch}), calls))

    def rate(self, plan: Plan, n_images: int) -> float:
        """Images a second."""
        self.run(plan, plan.workers * plan.batch_size)  # the first call of a shape allocates
        return n_images / seconds(lambda: self.run(plan, n_images))

    def best_plan(self, threads: int, n_images: int) -> Plan:
        """The fastest plan, by the better of two rounds."""
        rounds = [{p: self.rate(p, n_images) for p in plans(threads)} for _ in range(2)]
        return max(rounds[0], key=lambda p: max(one[p] for one in rounds))

    def _session(self, intra_threads: int) -> ort.InferenceSession:
        if intra_threads not in self._sessions:
            options = ort.SessionOptions()
            options.intra_op_num_threads = intra_threads
            options.add_session_config_entry("session.force_spinning_stop", "1")
            self._sessions[intra_threads] = ort.InferenceSession(
                str(self._model), options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[intra_threads]


def inside(environment: Path, packages: Sequence[str], module: str, words: Sequence[str]) -> None:
    """Run a benchmark in a virtual environment with some packages, which is made if missing."""
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    root = Path(__file__).resolve().parents[1]
    if not python.exists():
        venv.create(environment, with_pip=True)
        install = [python, "-m", "pip", "install", "-q", *packages, "-e", str(root)]
        subprocess.run(install, check=True)
    subprocess.run([python, "-m", module, *words], check=True, cwd=root)


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def spread(figures: list[float], digits: int = 3) -> str:
    """The median with the smallest and the largest figure."""
    median, low, high = statistics.median(figures), min(figures), max(figures)
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def machine() -> str:
    """One line on what this ran on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=PHOTO.parent,
    ).stdout.strip()
    return (
        f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}, "
        f"ONNX Runtime {ort.__version__}, commit {commit or 'unknown'}, {time.strftime('%Y-%m-%d')}"
    )
