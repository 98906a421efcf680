"""The engine: runs many flows at once, and is the only place that forms batches.

Slices of the live flows' queries fill a batch; worker threads render, compose and score it
side by side; when all scores of a query are in, its flow is told and asks again. The engine
knows no session: whatever is a `Classifier` runs, from any framework or none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Images, Outputs, make_rng
from onnxplain.core.errors import BY_SCORES, ScoreError
from onnxplain.core.flow import (
    FillQuery,
    Flow,
    ImageQuery,
    MaskQuery,
    Method,
    Query,
    Reply,
    start_flow,
)
from onnxplain.core.protocols import Classifier, Differentiable, Fill, Prepared
from onnxplain.core.scores import compute_target_scores, to_probabilities
from onnxplain.engine.batch import Answer, Answered, Effort, Filling, Slice, score, sort
from onnxplain.engine.fillings import FillingCache
from onnxplain.masks.families import ArrayMasks

T = TypeVar("T")
# Told how many more images have been scored, and how many more pictures a fill has made.
EngineProgress = Callable[[int, int], None]

# Live flows at a time: enough to fill batches from methods that ask little at a time,
# few enough that memory does not grow with the number of images.
MAX_LIVE_JOBS = 16
_FILLINGS = 4
# Bytes of pictures that fills made for masks, kept in case they are asked for again; shared
# by the live flows. 222 of 224 px: all sets of seven superpixels.
_PICTURES = 2**27
# Images that a worker is given at once, if there are as many: handing over and telling cost
# the same for any number. A classifier whose batches are smaller splits them.
_TASK = 8


@dataclass(frozen=True, eq=False)
class Job(Generic[T]):
    """Flows over the targets of one image that ask the same queries, and their fill.

    An adaptive method has one flow a job. Others may have one a target: the first one's
    queries are evaluated, and each flow is told the scores of its own target.

    Parameters
    ----------
    cases : tuple of Case
        One image; one target each.
    flows : tuple of Flow
        One a case.
    fill : Fill
        What stands in for removed pixels.
    seed : int
        Decides the draws of fills that draw.
    """

    cases: tuple[Case, ...]
    flows: tuple[Flow[T], ...]
    fill: Fill
    seed: int = 0


def make_jobs(
    method: Method, cases: Sequence[Case], fill: Fill, seed: int
) -> list[Job[Attribution]]:
    """One job for all targets of an image, or one a target if the method adapts to it."""
    groups = [(case,) for case in cases] if method.adaptive else [tuple(cases)]
    return [
        Job(group, tuple(start_flow(method, case, seed) for case in group), fill, seed)
        for group in groups
    ]


@dataclass(frozen=True, eq=False)
class Outcome(Generic[T]):
    """How a job ended: the flows' values in order, or the error that stopped it."""

    job: Job[T]
    values: tuple[T, ...]
    error: Exception | None
    evaluations: int
    seconds: float  # from when it was taken up
    effort: Effort  # the workers'


def run(
    classifier: Classifier,
    jobs: Iterable[Job[T]],
    *,
    gradients: Differentiable | None = None,
    live: int = MAX_LIVE_JOBS,
    on_progress: EngineProgress | None = None,
) -> Iterator[Outcome[T]]:
    """Run flows against one classifier and give the outcomes of their jobs as they end.

    A job whose own code, fill or scores fail ends with its error, and the others go on. A
    classifier that fails to run at all ends everything.

    Parameters
    ----------
    classifier : Classifier
        What scores the images; its `batch_size` and `workers` decide the batches.
    jobs : iterable of Job
        Each is asked for when there is room for it.
    gradients : Differentiable, optional
        The same classifier's gradients, for methods that ask for them.
    live : int
        Jobs at a time.
    on_progress : callable, optional
        Told how many more images have been scored, and how many more pictures a fill has made.

    Yields
    ------
    outcome : Outcome
        As the jobs end, which may be out of order.
    """
    waiting = iter(jobs)
    running: list[_Running[T]] = []
    pictures = FillingCache(_PICTURES)
    # Where one call of the classifier runs at a time, the next batch is filled beside it.
    turn = threading.BoundedSemaphore(classifier.workers)
    pool = ThreadPoolExecutor(max(classifier.workers, 2), thread_name_prefix="onnxplain")
    flying: dict[Future[list[Answer]], list[_Taken[T]]] = {}
    try:
        more = True
        while more or running or flying:
            # One at a time: its photo is read and classified while the workers score.
            if more and len(running) < live:
                job = next(waiting, None)
                more = job is not None
                if job is not None:
                    running.append(_Running(job, classifier, pictures))
            ended = [one for one in running if one.asked is None]
            running = [one for one in running if one.asked is not None]
            yield from (one.outcome() for one in ended)
            # One batch waits behind each running one, so that no worker idles.
            room = 2 * classifier.workers - len(flying)
            for batch in islice(_batches(classifier, running), room):
                slices = [taken.slice for taken in batch]
                flying[pool.submit(score, classifier, gradients, slices, turn)] = batch
            admits = more and len(running) < live
            done, _ = wait(flying, 0 if admits else None, return_when=FIRST_COMPLETED)
            for future in done:
                _tell(flying.pop(future), future.result(), on_progress)
    finally:
        pool.shutdown(cancel_futures=True)
        for one in running:
            one.close()


def collect_values(
    classifier: Classifier, jobs: Sequence[Job[T]], *, gradients: Differentiable | None = None
) -> list[T]:
    """The values of all flows of some jobs, in order; the first error is raised."""
    outcomes = {one.job: one for one in run(classifier, jobs, gradients=gradients)}
    values: list[T] = []
    for job in jobs:
        outcome = outcomes[job]
        if outcome.error is not None:
            raise outcome.error
        values += outcome.values
    return values


class _Taken(NamedTuple, Generic[T]):
    """A slice in a batch, and whose it is."""

    owner: _Running[T]
    slice: Slice


def _batches(classifier: Classifier, running: Sequence[_Running[T]]) -> Iterator[list[_Taken[T]]]:
    """Batches out of the live flows' queries, until all of them are handed out."""
    while batch := _form_batch(classifier, running):
        yield batch


def _form_batch(classifier: Classifier, running: Sequence[_Running[T]]) -> list[_Taken[T]]:
    """Fill one batch from the live flows in turn.

    A batch holds one sort of question, those that one call of the classifier answers:
    the sort of which most is waiting.
    """
    sorts: dict[Hashable, list[_Running[T]]] = {}
    for one in running:
        if one.asked is not None and one.waiting:
            sorts.setdefault(sort(one.asked.query, one.asked.filling), []).append(one)
    batch: list[_Taken[T]] = []
    most = max(sorts.values(), key=lambda alike: sum(one.waiting for one in alike), default=[])
    share = -(-sum(one.waiting for one in most) // classifier.workers)
    room = max(classifier.batch_size, min(_TASK, share))
    for one in most:
        if room:
            batch.append(_Taken(one, one.take(room)))
            room -= len(batch[-1].slice)
    return batch


def _tell(
    batch: Sequence[_Taken[T]], answers: Sequence[Answer], on_progress: EngineProgress | None
) -> None:
    """Give the answers to a batch to those who asked."""
    for taken, answer in zip(batch, answers, strict=True):
        taken.owner.receive(taken.slice, answer)
        if on_progress:
            on_progress(*_counts(taken.slice, answer))


def _counts(piece: Slice, answer: Answer) -> tuple[int, int]:
    """Images that were scored for a slice, or should have been, and pictures that were made."""
    evaluations = 0 if isinstance(piece.query, FillQuery) else len(piece)
    return evaluations, 0 if isinstance(answer, Exception) else answer.effort.inpaints


@dataclass(eq=False)
class _Asked:
    """An open query, and what has come back of it.

    Of the scores only the targets' are kept: all classes of many masks would fill memory.
    """

    query: Query
    filling: Filling | None  # none where it asks for images
    scores: NDArray[np.float64]  # (cases, items)
    classes: NDArray[np.float32] | None = None
    grads: Images | None = None
    images: Images | None = None
    sent: int = 0
    told: int = 0

    def receive(
        self, piece: Slice, answer: Answered, cases: tuple[Case, ...], outputs: Outputs
    ) -> None:
        """Take the answer to one slice."""
        rows = slice(piece.start, piece.stop)
        if answer.raw is not None and not isinstance(self.query, FillQuery):
            kind = self.query.kind
            for scores, case in zip(self.scores, cases, strict=True):
                scores[rows] = compute_target_scores(
                    answer.raw, case.target, outputs=outputs, kind=kind
                )
            if self.query.classes:
                self.classes = self._keep(self.classes, rows, to_probabilities(answer.raw, outputs))
        if answer.grads is not None:
            self.grads = self._keep(self.grads, rows, answer.grads)
        if answer.images is not None:
            self.images = self._keep(self.images, rows, answer.images)
        self.told += len(piece)

    def _keep(
        self, kept: NDArray[np.float32] | None, rows: slice, values: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        if kept is None:
            kept = np.empty((len(self.query), *values.shape[1:]), np.float32)
        kept[rows] = values
        return kept


@dataclass(eq=False)
class _Running(Generic[T]):
    """A job under way."""

    job: Job[T]
    classifier: Classifier
    pictures: FillingCache  # where what fills make for masks is kept
    values: tuple[T, ...] = ()
    error: Exception | None = None
    evaluations: int = 0
    effort: Effort = field(default_factory=Effort)
    began: float = field(default_factory=time.perf_counter)
    asked: _Asked | None = None  # none: it has ended
    # The fills used last: a method may bring a new picture in every step.
    fillings: dict[Fill, Filling] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._advance(next)

    @property
    def waiting(self) -> int:
        """Items of the open query that no batch holds yet."""
        return len(self.asked.query) - self.asked.sent if self.asked else 0

    def take(self, room: int) -> Slice:
        """Up to `room` items of the open query that no batch holds yet."""
        assert self.asked is not None
        start = self.asked.sent
        self.asked.sent = stop = min(start + room, len(self.asked.query))
        return Slice(self.job.cases[0], self.asked.query, self.asked.filling, start, stop)

    def receive(self, piece: Slice, answer: Answer) -> None:
        """Take the answer to a slice; when the query is complete, tell the flows."""
        if self.asked is None:
            return
        if isinstance(answer, Exception):
            self._fail(answer)
            return
        if problem := _problem(self.job, answer):
            self._fail(ScoreError(problem))
            return
        asked = self.asked
        try:
            asked.receive(piece, answer, self.job.cases, self.classifier.outputs)
        except Exception as error:  # a case that does not fit the classifier
            self._fail(error)
            return
        self.evaluations += 0 if answer.raw is None else len(piece)
        self.effort = self.effort.plus(answer.effort)
        if asked.told == len(asked.query):
            replies = iter(
                [Reply(scores, asked.classes, asked.grads, asked.images) for scores in asked.scores]
            )
            self._advance(lambda flow: flow.send(next(replies)))

    def outcome(self) -> Outcome[T]:
        """How the job ended."""
        seconds = time.perf_counter() - self.began
        return Outcome(self.job, self.values, self.error, self.evaluations, seconds, self.effort)

    def close(self) -> None:
        """Stop the flows where they are."""
        for flow in self.job.flows:
            with suppress(Exception):  # a plugin's: what stopped it is known already
                flow.close()

    def _advance(self, step: Callable[[Flow[T]], Query]) -> None:
        """Let every flow go on until it asks or returns; all do the same."""
        queries, values = [], []
        try:
            for flow in self.job.flows:
                try:
                    queries.append(step(flow))
                except StopIteration as stop:
                    values.append(stop.value)
            self.asked = self._open(queries[0]) if queries else None
            self.values = tuple(values)
        except Exception as error:  # a method or fill is a plugin: its failure is its job's
            self._fail(error)

    def _open(self, query: Query) -> _Asked:
        query = _checked(query, self.job.cases[0])
        filling = None if isinstance(query, ImageQuery) else self._fill(query)
        return _Asked(query, filling, np.empty((len(self.job.cases), len(query))))

    def _fill(self, query: MaskQuery | FillQuery) -> Filling:
        fill = query.fill or self.job.fill
        if fill not in self.fillings:
            case = self.job.cases[0]
            while len(self.fillings) >= _FILLINGS:
                del self.fillings[next(iter(self.fillings))]
            # Drawn from the names alone, so noise stays the same from query to query.
            picture = fill.prepare(case.image, make_rng(self.job.seed, case.name, "fill"))
            self.fillings[fill] = self._filling(fill, case, picture)
        return self.fillings[fill]

    def _filling(self, fill: Fill, case: Case, picture: Prepared) -> Filling:
        if callable(picture):
            what = fill, self.job.seed, case.name
            return Filling(self.pictures.painting(case.image, what, picture), planes=None)
        if picture.shape != case.image.shape:
            raise ValueError(
                f"{type(fill).__name__}: a fill is a picture of the image's size, "
                f"{case.image.shape}, got {picture.shape}"
            )
        picture = picture.astype(np.float32, copy=False)
        return Filling(picture, self.classifier.planes(case.image, picture))

    def _fail(self, error: Exception) -> None:
        self.error, self.asked = error, None
        self.close()


def _checked(query: Query, case: Case) -> Query:
    """A query as the workers take it; methods come from other packages, too.

    Raises
    ------
    TypeError, ValueError
        If it is none, asks nothing, or its masks or images are not of the case's size.
    """
    rows, columns = case.size
    if not isinstance(query, MaskQuery | ImageQuery | FillQuery):
        raise TypeError(
            f"a method yields a MaskQuery, an ImageQuery or a FillQuery, got {type(query).__name__}"
        )
    if not len(query):
        raise ValueError(f"a {type(query).__name__} asks about one mask or image or more, got none")
    if isinstance(query, ImageQuery):
        shape = query.images.shape
        if query.images.ndim != 4 or shape[1:] != (rows, columns, 3):
            raise ValueError(
                f"an ImageQuery asks for images (N, {rows}, {columns}, 3), as the case's, got "
                f"{shape}"
            )
        return replace(query, images=query.images.astype(np.float32, copy=False))
    if query.fill is not None and not hasattr(query.fill, "prepare"):
        raise TypeError(f"a query's fill is a Fill, as Blur(), got {query.fill!r}")
    if isinstance(query.masks, np.ndarray):
        query = replace(query, masks=ArrayMasks(query.masks))
    if query.masks.size != case.size:
        raise ValueError(
            f"a {type(query).__name__} asks for masks of the case's size, {rows} x {columns}, got "
            f"{' x '.join(map(str, query.masks.size))}"
        )
    return query


def _problem(job: Job[Any], answer: Answered) -> str | None:
    """Say what is wrong where something is no finite number."""
    name = job.cases[0].name
    if answer.raw is not None and not np.isfinite(answer.raw).all():
        value = "NaN" if np.isnan(answer.raw).any() else "infinite"
        return (
            f"{name}: the classifier answered with {value} scores; the model file may be "
            f"damaged, its preprocessing wrong (see onnxplain inspect), or it overflows in float16"
        )
    if answer.grads is not None and (bad := ~np.isfinite(answer.grads)).any():
        _, row, column, channel = (int(place[0]) for place in np.nonzero(bad))
        return (
            f"{name}: the gradient by the image is {answer.grads[bad][0]} at row {row}, column "
            f"{column}, {('red', 'green', 'blue')[channel]}; {BY_SCORES}"
        )
    return None
