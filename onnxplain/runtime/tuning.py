"""The batch size by a short measurement of the loaded model."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from onnxplain.core.spec import ModelSpec
from onnxplain.runtime.composing.host import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.session import Session

log = logging.getLogger(__name__)

# On CPU, where workers run side by side, larger batches bring nothing: the caches are full.
CPU_SIZES = (1, 2, 4, 8)
GPU_SIZES = (8, 16, 32, 64, 128)

ROUNDS, SECONDS = 2, 0.08  # of each batch size: the better of so many short runs
LONGEST = 0.25  # seconds of a call beyond which larger batches are not tried
GOOD_ENOUGH = 0.97  # of the best rate: within it, what the engine does a batch decides


class Rate(NamedTuple):
    """What one batch size achieves."""

    batch_size: int
    per_second: float  # evaluations a second, all workers together


def count_cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def list_batch_sizes(device: Device) -> tuple[int, ...]:
    """The batch sizes to choose from."""
    return CPU_SIZES if device.where == "cpu" else GPU_SIZES


def measure_rates(
    session: Session,
    spec: ModelSpec,
    batch_sizes: Sequence[int],
    *,
    workers: int,
    seconds: float,
) -> tuple[Rate, ...]:
    """Evaluations a second by batch size, with all workers side by side, on noise.

    Parameters
    ----------
    session : Session
        The loaded classifier.
    spec : ModelSpec
        Its input and output.
    batch_sizes : sequence of int
        In rising order. Where memory ends or a call takes longer than `LONGEST`, the
        larger ones are left out.
    workers : int
        Calls side by side.
    seconds : float
        For each batch size.
    """
    space = ModelSpace.of(spec)
    noise = np.random.default_rng(0).random((1, *spec.size, 3), np.float32)
    one = HostComposer(space).enter(noise)
    rates: list[Rate] = []
    with ThreadPoolExecutor(workers) as pool:
        for batch_size in batch_sizes:
            feeds = {spec.input: np.repeat(one, batch_size, axis=0)}
            run = partial(session.run, feeds, [spec.output])
            try:
                began = time.perf_counter()
                run()  # the first call of a shape allocates
                longest = time.perf_counter() - began
                calls = _calls_per_second(run, pool, workers, seconds)
            except OutOfMemory as error:
                log.info("batch size %d: %s", batch_size, error)
                break
            rates.append(Rate(batch_size, calls * batch_size))
            if longest > LONGEST:
                break
    return tuple(rates)


def choose_batch_size(session: Session, spec: ModelSpec, *, workers: int) -> int:
    """The largest batch size whose rate comes close to the best one.

    Forming, composing and answering a batch costs the engine about the same for any size.
    """
    sizes = list_batch_sizes(session.device)
    best: dict[int, float] = {}
    for _ in range(ROUNDS):
        for size, rate in measure_rates(session, spec, sizes, workers=workers, seconds=SECONDS):
            best[size] = max(rate, best.get(size, 0.0))
    if not best:  # not even the smallest fits; running it tells so, or finds a smaller one
        return sizes[0]
    enough = GOOD_ENOUGH * max(best.values())
    return max(size for size, rate in best.items() if rate >= enough)


def _calls_per_second(
    run: Callable[[], object], pool: ThreadPoolExecutor, workers: int, seconds: float
) -> float:
    began = time.perf_counter()

    def work() -> int:
        calls = 0
        while not calls or time.perf_counter() - began < seconds:
            run()
            calls += 1
        return calls

    calls = sum(future.result() for future in [pool.submit(work) for _ in range(workers)])
    return calls / (time.perf_counter() - began)
