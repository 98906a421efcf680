"""The batch size, chosen by a short measurement of the loaded model."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from onnxplain.core.spec import ModelSpec
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.session import Session
from onnxplain.runtime.tensors import Rows

log = logging.getLogger(__name__)

# On CPU, where workers run side by side, larger batches bring nothing: the caches are full.
CPU_SIZES = (1, 2, 4, 8)
GPU_SIZES = (8, 16, 32, 64, 128, 256, 512)

ROUNDS, SECONDS = 3, 0.06  # short runs of all batch sizes in turn, of which the median counts
MOST_ROUNDS = 9  # as long as other work on the machine disturbs them
SPREAD = 0.15  # of a size's share of the best rate, between the quartiles of the rounds
LONGEST = 0.25  # seconds per call beyond which larger batches are not tried on CPU
GOOD_ENOUGH = 0.97  # share of the best rate; above it, the engine's cost per batch decides


class Rate(NamedTuple):
    """The speed of one batch size."""

    batch_size: int
    per_second: float  # evaluations per second, all workers together


def count_cores() -> int:
    """Count the cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def list_batch_sizes(device: Device) -> tuple[int, ...]:
    """List the batch sizes to choose from."""
    return CPU_SIZES if device.where == "cpu" else GPU_SIZES


def measure_rates(
    session: Session,
    spec: ModelSpec,
    batch_sizes: Sequence[int],
    *,
    workers: int,
    seconds: float,
) -> tuple[Rate, ...]:
    """Measure evaluations per second by batch size on noise, all workers side by side.

    On a GPU the noise is there already, as masks are composed there: the bus is not measured.
    The first call of a shape does not count, which allocates, and on a GPU plans convolutions.

    Parameters
    ----------
    session : Session
        The loaded classifier.
    spec : ModelSpec
        Its input and output.
    batch_sizes : sequence of int
        In rising order. After a size for which memory runs out, or on CPU a call takes longer
        than `LONGEST`, the larger ones are left out.
    workers : int
        Calls side by side.
    seconds : float
        Time for each batch size.
    """
    noise = np.random.default_rng(0).random((1, *spec.size, 3), np.float32)
    row = HostComposer(ModelSpace.of(spec)).enter(noise, 1)
    on_cpu = session.device.where == "cpu"
    rates: list[Rate] = []
    with ThreadPoolExecutor(workers) as pool:
        for batch_size in batch_sizes:
            try:
                rows = np.repeat(row, batch_size, axis=0)
                batch: Rows = rows if on_cpu else session.upload(rows)
                run = partial(session.run, {spec.input: batch}, [spec.output])
                run()
                calls = _count_calls_per_second(run, pool, workers, seconds)
            except OutOfMemory as error:
                log.info("batch size %d: %s", batch_size, error)
                break
            rates.append(Rate(batch_size, calls * batch_size))
            if on_cpu and workers / calls > LONGEST:
                break
    return tuple(rates)


class Choice(NamedTuple):
    """A batch size, and whether the machine was quiet enough to rely on it later."""

    batch_size: int
    steady: bool


def measure_batch_size(session: Session, spec: ModelSpec, *, workers: int) -> Choice:
    """Choose a batch size by short rounds, in each of which all sizes take turns.

    There are more rounds until they agree; if they never do, the choice is not steady.
    """
    sizes = list_batch_sizes(session.device)
    rounds: list[Mapping[int, float]] = []
    choice = Choice(sizes[0], steady=False)
    for number in range(1, MOST_ROUNDS + 1):
        rates = measure_rates(session, spec, sizes, workers=workers, seconds=SECONDS)
        if not rates:  # not even the smallest fits; the first run reports it, or halves the size
            return Choice(sizes[0], steady=False)
        rounds.append(dict(rates))
        choice = choose_batch_size(rounds)
        if number >= ROUNDS and choice.steady:
            break
    return choice


def choose_batch_size(rounds: Sequence[Mapping[int, float]]) -> Choice:
    """Choose the largest batch size whose rate comes close to the best one, in most rounds.

    Rates are compared within a round, as other work on the machine slows whole rounds down, and
    the median over rounds counts, as it slows some sizes of a round down more than others.
    Forming, composing and answering a batch costs the engine about the same for any size.

    Parameters
    ----------
    rounds : sequence of mapping
        Evaluations per second by batch size, one mapping per round. Sizes that a round left out
        are not chosen.

    Returns
    -------
    choice : Choice
        It is steady if the rounds agree about every size.

    Examples
    --------
    >>> choose_batch_size([{1: 60, 4: 100, 8: 90}, {1: 30, 4: 50, 8: 20}, {1: 61, 4: 101, 8: 92}])
    Choice(batch_size=4, steady=False)
    """
    sizes = set.intersection(*(set(rates) for rates in rounds))
    shares = {
        size: [rates[size] / max(rates.values()) for rates in rounds] for size in sorted(sizes)
    }
    medians = {size: float(np.median(values)) for size, values in shares.items()}
    enough = GOOD_ENOUGH * max(medians.values())
    quartiles = (np.quantile(values, (0.25, 0.75)) for values in shares.values())
    steady = all(high - low <= SPREAD for low, high in quartiles)
    return Choice(max(size for size, share in medians.items() if share >= enough), steady)


def _count_calls_per_second(
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
