"""Shared parts of the benchmarks: the photo, raw ONNX Runtime, timing and formatting."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from onnxplain.core.data import Preprocessing
from onnxplain.image import place_frame, read_image
from onnxplain.runtime.device import PROVIDERS, Device
from onnxplain.runtime.ort import list_providers, preload_cuda
from onnxplain.runtime.tuning import choose_plan

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
PLAN_ROUNDS = 5
PHOTO = Path(__file__).resolve().parents[1] / "examples" / "coffee.jpg"


def read_photo(side: int) -> NDArray[np.float32]:
    """Return the centre square of the example photo, (side, side, 3) in [0, 1]."""
    image = read_image(PHOTO)
    rows, columns, _ = image.shape
    return place_frame((rows, columns), (side, side), Preprocessing()).bring(image)


@dataclass(frozen=True)
class RawPlan:
    """A way to run raw ONNX Runtime: batch size, threads per call, number of parallel calls."""

    batch_size: int
    intra_threads: int
    workers: int

    def __str__(self) -> str:
        """Return a text such as ``batch 8, 2 x 1 threads``."""
        return f"batch {self.batch_size}, {self.workers} x {self.intra_threads} threads"


def list_plans(threads: int) -> list[RawPlan]:
    """List plans: for each batch size, one call on all threads, and parallel calls on one each."""
    return [
        RawPlan(batch_size, intra, workers)
        for batch_size in BATCH_SIZES
        for intra, workers in ((threads, 1), (1, threads))
    ]


device_option = click.option(
    "--device", default="cpu", show_default=True, help="Where models run: cpu, cuda or cuda:N."
)
busy_option = click.option(
    "--busy", default=0, show_default=True, help="Endless loops beside the runs."
)
environment_option = click.option(
    "--environment",
    type=click.Path(path_type=Path),
    help="Folder of the peers' virtual environment.",
)


@contextmanager
def keep_busy(n: int) -> Iterator[None]:
    """Run `n` endless loops, each in a process of its own, for as long as the context is open."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def open_raw(
    model: Path | bytes, threads: int, device: str = "cpu", *, profile: Path | None = None
) -> ort.InferenceSession:
    """Open ONNX Runtime's own session on a device, with `threads` threads per call on CPU.

    If `profile` is given, the time of each operator is written to a file whose name begins so.
    """
    options = ort.SessionOptions()
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    where = Device.parse(device)
    if where.where != "cpu":
        preload_cuda()
    content = model if isinstance(model, bytes) else str(model)
    session = ort.InferenceSession(content, options, providers=list_providers(where, tf32=False))
    assert session.get_providers()[0] == PROVIDERS[where.where], f"{device} is not available"
    return session


def make_raw_call(
    session: ort.InferenceSession, feeds: Mapping[str, NDArray[Any]], device: str = "cpu"
) -> Callable[[], object]:
    """Return a function that runs a session on inputs that are on its device already."""
    where = Device.parse(device)
    if where.where == "cpu":
        return partial(session.run, None, dict(feeds))
    binding = session.io_binding()
    for name, array in feeds.items():
        value = ort.OrtValue.ortvalue_from_numpy(array, "cuda", where.index)
        binding.bind_ortvalue_input(name, value)
    for output in session.get_outputs():
        binding.bind_output(output.name, "cpu")
    return partial(session.run_with_iobinding, binding)


class RawRunner:
    """Raw ONNX Runtime on prepared input: the upper bound with which the engine is compared."""

    def __init__(self, model: Path, shape: tuple[int, ...], device: str = "cpu") -> None:
        self._model = model
        self._device = device
        self._sessions: dict[int, ort.InferenceSession] = {}
        rng = np.random.default_rng(0)
        self._noise: NDArray[np.float32] = rng.random((BATCH_SIZES[-1], *shape), np.float32)

    def run(self, plan: RawPlan, n_images: int) -> None:
        """Score `n_images` images, a multiple of the plan's batch size."""
        session = self._open_session(plan.intra_threads)
        name = session.get_inputs()[0].name
        feeds = {name: self._noise[: plan.batch_size]}
        with ThreadPoolExecutor(plan.workers) as pool:
            run = make_raw_call(session, feeds, self._device)
            calls = range(n_images // plan.batch_size)
            list(pool.map(lambda _: run(), calls))

    def measure_rate(self, plan: RawPlan, n_images: int) -> float:
        """Return the images per second over `n_images` images."""
        self.run(plan, plan.workers * plan.batch_size)  # the first call of a shape allocates
        return n_images / measure_seconds(lambda: self.run(plan, n_images))

    def find_best_plan(self, threads: int, n_images: int, n_rounds: int = PLAN_ROUNDS) -> RawPlan:
        """Return the fastest plan by its median over short rounds in which all take turns.

        Each plan scores `n_images` images per round. Other work on the machine may make the rounds
        disagree; then a line on the standard error says so.
        """
        plans = self._list_plans(threads)
        rounds = [
            {plan: self.measure_rate(plan, n_images) for plan in plans} for _ in range(n_rounds)
        ]
        plan, steady = choose_plan(rounds)
        if not steady:
            click.echo("raw plans: the rounds disagree, as other work disturbed them", err=True)
        return plan

    def _list_plans(self, threads: int) -> list[RawPlan]:
        if self._device == "cpu":
            return list_plans(threads)
        return [RawPlan(batch_size, 1, 1) for batch_size in BATCH_SIZES]

    def _open_session(self, intra_threads: int) -> ort.InferenceSession:
        """Return the session with this number of threads; it is opened once."""
        if intra_threads not in self._sessions:
            self._sessions[intra_threads] = open_raw(self._model, intra_threads, self._device)
        return self._sessions[intra_threads]


def run_inside(
    environment: Path, packages: Sequence[str], module: str, arguments: Sequence[str]
) -> None:
    """Run a benchmark in a virtual environment with `packages`; create it if it is missing."""
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    root = Path(__file__).resolve().parents[1]
    if not python.exists():
        venv.create(environment, with_pip=True)
        pip = [str(python), "-m", "pip"]
        subprocess.run([*pip, "install", "-q", *packages, "-e", str(root)], check=True)
        # Some peers bring the other wheel of ONNX Runtime, which writes into the same folder.
        wheels = ["onnxruntime", "onnxruntime-gpu"]
        subprocess.run([*pip, "uninstall", "-q", "-y", *wheels], check=True)
        subprocess.run([*pip, "install", "-q", "-e", str(root)], check=True)
    subprocess.run([python, "-m", module, *arguments], check=True, cwd=root)


def add_table_command(commands: Any, call: Callable[[argparse.Namespace], None]) -> None:
    """Add the command `table`, which calls a function with the file of the rows."""
    command = commands.add_parser("table")
    command.add_argument("rows", type=Path)
    command.set_defaults(call=call)


def measure_seconds(action: Callable[[], object]) -> float:
    """Return the wall-clock seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure_cpu(action: Callable[[], object]) -> float:
    """Return the processor seconds of one call, of all threads together."""
    start = time.process_time()
    action()
    return time.process_time() - start


def read_peak_mib() -> float:
    """Return the largest memory that this process has held, in MiB.

    What `resource` tells of a process that was started by a large one is the memory of the latter.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 1024
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file if it exists; a last line that was cut off is left out."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def format_spread(figures: list[float], digits: int = 3) -> str:
    """Format the median, with the smallest and the largest figure in brackets."""
    median, low, high = statistics.median(figures), min(figures), max(figures)
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def describe_machine() -> str:
    """Return one line with the processor, the versions, the commit and the date."""
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
