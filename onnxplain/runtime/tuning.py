"""The batch size, chosen by a short measurement of the loaded model, and remembered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.cache import recall_parsed, remember
from onnxplain.core.spec import ModelSpec
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.ort import get_ort_version
from onnxplain.runtime.session import Session
from onnxplain.runtime.tensors import Rows

log = logging.getLogger(__name__)
P = TypeVar("P")  # a way to run, such as a batch size

# On CPU, where workers run side by side, larger batches bring nothing: the caches are full.
CPU_SIZES = (1, 2, 4, 8)
GPU_SIZES = (8, 16, 32, 64, 128, 256, 512)

ROUNDS, SECONDS = 4, 0.05  # short rounds in which all batch sizes take turns
MOST_ROUNDS = 10  # as long as other work on the machine makes them disagree
AGREEMENT = 0.9  # share of the best rate that the choice has in both halves of the rounds
LONGEST = 0.25  # CPU seconds per call beyond which larger batches are not tried on CPU
GOOD_ENOUGH = 0.97  # share of the best rate; above it, the engine's cost per batch decides


class Rate(NamedTuple):
    """The speed of one batch size."""

    batch_size: int
    per_second: float  # evaluations per second, all workers together


class Trial(NamedTuple):
    """What is run to measure: the inputs of one image by name, and the output."""

    feeds: Mapping[str, NDArray[Any]]
    output: str

    @classmethod
    def of(cls, spec: ModelSpec) -> Trial:
        """Make the trial of a classifier: noise."""
        noise = np.random.default_rng(0).random((1, *spec.size, 3), np.float32)
        return cls({spec.input: HostComposer(ModelSpace.of(spec)).enter(noise, 1)}, spec.output)


def list_batch_sizes(device: Device) -> tuple[int, ...]:
    """List the batch sizes to choose from."""
    return CPU_SIZES if device.where == "cpu" else GPU_SIZES


def measure_rates(
    session: Session,
    trial: Trial,
    batch_sizes: Sequence[int],
    *,
    workers: int,
    seconds: float,
) -> tuple[Rate, ...]:
    """Measure evaluations per second by batch size, all workers side by side.

    On a GPU the inputs are there already, as masks are composed there: the bus is not measured.
    The first call of a shape does not count, which allocates, and on a GPU plans convolutions.

    Parameters
    ----------
    session : Session
        The loaded model.
    trial : Trial
        What is run.
    batch_sizes : sequence of int
        In rising order. Larger ones are left out after one for which memory runs out, or on CPU
        one whose calls take more than `LONGEST`.
    workers : int
        Calls side by side.
    seconds : float
        Time for each batch size.
    """
    on_cpu = session.device.where == "cpu"
    rates: list[Rate] = []
    with ThreadPoolExecutor(workers) as pool:
        for batch_size in batch_sizes:
            try:
                feeds: dict[str, Rows] = {}
                for name, row in trial.feeds.items():
                    rows = np.repeat(row, batch_size, axis=0)
                    feeds[name] = rows if on_cpu else session.upload(rows)
                run = partial(session.run, feeds, [trial.output])
                run()
                calls, cpu = _measure_calls(run, pool, workers, seconds)
            except OutOfMemory as error:
                log.info("batch size %d: %s", batch_size, error)
                break
            rates.append(Rate(batch_size, calls * batch_size))
            if on_cpu and cpu > LONGEST:  # other work on the machine does not count
                break
    return tuple(rates)


class Choice(NamedTuple):
    """A batch size, and whether the machine was quiet enough to rely on it later."""

    batch_size: int
    steady: bool


def find_batch_size(
    session: Session,
    trial: Trial,
    model: tuple[str, ...],
    open_another: Callable[[], Session],
    *,
    workers: int,
    most: int = GPU_SIZES[-1],
) -> int:
    """Find the fastest batch size: as remembered, or measured now.

    Parameters
    ----------
    session : Session
        The loaded model.
    trial : Trial
        What is run.
    model : tuple of str
        What identifies the model and the size of its images.
    open_another : callable
        Loads the model once more: on a GPU, what the largest batch takes stays with the session
        that has run it.
    workers : int
        Calls side by side.
    most : int
        Larger sizes are not tried.
    """
    facts = session.provenance
    processor = str(session.device), str(facts.get("gpu", "")), f"tf32={session.tf32}"
    key = *model, *processor, get_ort_version(), str(workers)
    remembered = recall_parsed("batch-size", key, _parse_batch_size)
    if remembered is not None:
        return remembered
    measured = session if session.device.where == "cpu" else open_another()
    size, steady = measure_batch_size(measured, trial, workers=workers, most=most)
    if steady:
        remember("batch-size", key, {"batch_size": size})
    else:
        log.info("%s: other work disturbed the measuring of batches; not remembered", session.name)
    return size


def _parse_batch_size(facts: Mapping[str, Any]) -> int:
    """Return what was remembered; raise a ValueError if it cannot have been."""
    size = facts["batch_size"]
    if type(size) is not int or not 1 <= size <= max(GPU_SIZES):
        raise ValueError(f"no batch size: {size!r}")
    return size


def measure_batch_size(
    session: Session, trial: Trial, *, workers: int, most: int = GPU_SIZES[-1]
) -> Choice:
    """Choose the largest batch size whose rate comes close to the best one.

    Forming, composing and answering a batch costs the engine about the same for any size.
    There are more rounds until they agree; if they never do, the choice is not steady.
    """
    sizes = [size for size in list_batch_sizes(session.device) if size <= most]
    rounds: list[dict[int, float]] = []
    while len(rounds) < MOST_ROUNDS:
        rates = measure_rates(session, trial, sizes, workers=workers, seconds=SECONDS)
        rounds.append(dict(rates))
        if not rounds[-1]:  # not even the smallest fits; the first run reports it, or halves it
            return Choice(sizes[0], steady=False)
        if len(rounds) >= ROUNDS and choose_plan(rounds, GOOD_ENOUGH)[1]:
            break
    return Choice(*choose_plan(rounds, GOOD_ENOUGH))


def choose_plan(rounds: Sequence[Mapping[P, float]], enough: float = 1.0) -> tuple[P, bool]:
    """Choose the last plan that is near the best, and say whether the rounds agree on it.

    Other work on the machine slows whole rounds down, or some plans of a round. So a rate counts
    as a multiple of its round's median, and each plan by its median over the rounds.

    Parameters
    ----------
    rounds : sequence of mapping
        The rate of each plan, per round. Only plans that every round has are chosen from, in the
        order of the first round; there must be one.
    enough : float in (0, 1]
        Share of the best rate from which a plan is near it.

    Returns
    -------
    plan
        The choice.
    steady : bool
        Whether it reaches `AGREEMENT` of the best rate in the even and in the odd rounds.
    """
    rates = rate_plans(rounds)
    limit = enough * max(rates.values())
    chosen = [plan for plan, rate in rates.items() if rate >= limit][-1]
    halves = [rate_plans(half) for half in (rounds[::2], rounds[1::2]) if half]
    return chosen, all(half[chosen] >= AGREEMENT * max(half.values()) for half in halves)


def rate_plans(rounds: Sequence[Mapping[P, float]]) -> dict[P, float]:
    """Return each plan's median, over the rounds, of its rate over the round's median."""
    plans = [plan for plan in rounds[0] if all(plan in one for one in rounds)]
    typical = [median(one[plan] for plan in plans) for one in rounds]
    return {
        plan: median(one[plan] / usual for one, usual in zip(rounds, typical, strict=True))
        for plan in plans
    }


def _measure_calls(
    run: Callable[[], object], pool: ThreadPoolExecutor, workers: int, seconds: float
) -> tuple[float, float]:
    """Measure how many calls end per second, and the CPU seconds of one."""
    began, cpu = time.perf_counter(), time.process_time()

    def work() -> int:
        calls = 0
        while not calls or time.perf_counter() - began < seconds:
            run()
            calls += 1
        return calls

    calls = sum(future.result() for future in [pool.submit(work) for _ in range(workers)])
    return calls / (time.perf_counter() - began), (time.process_time() - cpu) / calls
