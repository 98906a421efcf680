"""The engine: runs many flows at once, and is the only place that forms batches.

Slices of the live flows' queries fill a batch; worker threads render, compose and score the
batches side by side; when a query is answered completely, its flow gets the reply and asks
again. The engine knows no session: it runs any `Classifier`, from any framework or none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from onnxplain.core.flow import FillQuery
from onnxplain.core.protocols import Classifier, Differentiable
from onnxplain.engine.batch import Call, answer_batch, choose_call
from onnxplain.engine.fillings import FillingCache
from onnxplain.engine.jobs import Job, Outcome, make_jobs
from onnxplain.engine.running import RunningJob
from onnxplain.engine.slices import Slice, SliceFailure, SliceResult

__all__ = [
    "MAX_LIVE_JOBS",
    "EngineProgress",
    "Job",
    "Outcome",
    "collect_values",
    "make_jobs",
    "run",
]

T = TypeVar("T")
# Called with the number of images scored, and of pictures made by fills, since the last call.
EngineProgress = Callable[[int, int], None]

# Enough to fill batches from methods that ask little at a time, few enough that memory does
# not grow with the number of images.
MAX_LIVE_JOBS = 16
# Capacity for pictures that fills made for masks, shared by the live jobs. It holds 222
# pictures of 224 px, which is enough for all 2**7 sets of seven superpixels.
_CACHE_BYTES = 2**27
# Images that a worker gets at once, if that many are waiting: handing them over costs the same
# for any number. A classifier with smaller batches splits them.
_TASK_SIZE = 8


def run(
    classifier: Classifier,
    jobs: Iterable[Job[T]],
    *,
    gradients: Differentiable | None = None,
    live: int = MAX_LIVE_JOBS,
    on_progress: EngineProgress | None = None,
) -> Iterator[Outcome[T]]:
    """Run flows against one classifier and yield the outcomes of their jobs as they end.

    If a job's own code, fill or scores fail, that job ends with the error and the others go on.
    If the classifier fails to run at all, its error is raised and ends all jobs.

    Parameters
    ----------
    classifier : Classifier
        Scores the images; its `batch_size` and `workers` decide the batches.
    jobs : iterable of Job
        The next job is taken when there is room for it.
    gradients : Differentiable, optional
        The gradients of the same classifier, for methods that use them.
    live : int
        Maximum number of jobs at a time.
    on_progress : callable, optional
        Called with the number of images scored, and of pictures made by fills, since the last
        call.

    Yields
    ------
    outcome : Outcome
        As the jobs end, which may be out of order.
    """
    waiting = iter(jobs)
    running: list[RunningJob[T]] = []
    cache = FillingCache(_CACHE_BYTES)
    # `turn` limits the calls of the classifier. Even with one worker there are two threads, so
    # that the next batch is prepared meanwhile.
    turn = threading.BoundedSemaphore(classifier.workers)
    pool = ThreadPoolExecutor(max(classifier.workers, 2), thread_name_prefix="onnxplain")
    in_flight: dict[Future[list[SliceResult]], list[_Taken[T]]] = {}
    try:
        more = True
        while more or running or in_flight:
            # Start one job per round: its photo is read and classified while the workers score.
            if more and len(running) < live:
                new = next(waiting, None)
                more = new is not None
                if new is not None:
                    running.append(RunningJob(new, classifier, cache))
            ended = [job for job in running if job.open_query is None]
            running = [job for job in running if job.open_query is not None]
            yield from (job.make_outcome() for job in ended)
            # A batch waits behind each one that is being scored, so that no worker idles.
            room = 2 * classifier.workers - len(in_flight)
            for batch in islice(_form_batches(classifier, running), room):
                slices = [taken.slice for taken in batch]
                task = pool.submit(answer_batch, classifier, gradients, slices, turn)
                in_flight[task] = batch
            has_room = more and len(running) < live
            done, _ = wait(in_flight, 0 if has_room else None, return_when=FIRST_COMPLETED)
            for task in done:
                _distribute(in_flight.pop(task), task.result(), on_progress)
    finally:
        pool.shutdown(cancel_futures=True)
        for job in running:
            job.close()


def collect_values(
    classifier: Classifier, jobs: Sequence[Job[T]], *, gradients: Differentiable | None = None
) -> list[T]:
    """Run jobs and return the values of all their flows, in order.

    Raises
    ------
    Exception
        The error of the first job that failed.
    """
    outcomes = {outcome.job: outcome for outcome in run(classifier, jobs, gradients=gradients)}
    values: list[T] = []
    for job in jobs:
        outcome = outcomes[job]
        if outcome.error is not None:
            raise outcome.error
        values += outcome.values
    return values


class _Taken(NamedTuple, Generic[T]):
    """A slice in a batch, and the job that it was taken from."""

    owner: RunningJob[T]
    slice: Slice


def _form_batches(
    classifier: Classifier, running: Sequence[RunningJob[T]]
) -> Iterator[list[_Taken[T]]]:
    """Yield batches from the live flows' queries until no item is waiting."""
    while batch := _form_batch(classifier, running):
        yield batch


def _form_batch(classifier: Classifier, running: Sequence[RunningJob[T]]) -> list[_Taken[T]]:
    """Fill one batch from the live flows in turn.

    All slices of a batch are answered by the same call: the one that the most items wait for.
    """
    jobs_by_call: dict[Call, list[RunningJob[T]]] = {}
    for job in running:
        if job.open_query is not None and job.n_waiting:
            call = choose_call(job.open_query.query, job.open_query.filling, classifier)
            jobs_by_call.setdefault(call, []).append(job)
    chosen = max(jobs_by_call.values(), key=_count_waiting, default=[])
    share = -(-_count_waiting(chosen) // classifier.workers)
    room = max(classifier.batch_size, min(_TASK_SIZE, share))
    batch: list[_Taken[T]] = []
    for job in chosen:
        if room:
            batch.append(_Taken(job, job.take(room)))
            room -= len(batch[-1].slice)
    return batch


def _count_waiting(jobs: Iterable[RunningJob[T]]) -> int:
    return sum(job.n_waiting for job in jobs)


def _distribute(
    batch: Sequence[_Taken[T]],
    results: Sequence[SliceResult],
    on_progress: EngineProgress | None,
) -> None:
    """Give the results of a batch to the jobs that asked for them, and report progress."""
    for taken, result in zip(batch, results, strict=True):
        taken.owner.receive(taken.slice, result)
        if on_progress:
            on_progress(*_count_work(taken.slice, result))


def _count_work(piece: Slice, result: SliceResult) -> tuple[int, int]:
    """Count the images that a slice has scored, or should have, and the pictures it made."""
    evaluations = 0 if isinstance(piece.query, FillQuery) else len(piece)
    return evaluations, 0 if isinstance(result, SliceFailure) else result.effort.inpaints
