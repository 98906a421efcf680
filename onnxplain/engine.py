"""The engine: runs many flows at once, and is the only place that forms batches.

Slices of the live flows' queries fill a batch; worker threads render, compose and score it
side by side; when all scores of a query are in, its flow is told and asks again. The engine
knows no session: whatever is a `Classifier` runs, from any framework or none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.data import Case, Images, Scores, generator
from onnxplain.errors import ScoreError
from onnxplain.flow import Flow, ImageQuery, MaskQuery, Query, Reply
from onnxplain.protocols import Classifier, Fill, Part, Prepared
from onnxplain.scores import target_scores

T = TypeVar("T")
Progress = Callable[[int], None]  # told how many more images have been scored

# Live flows at a time: enough to fill batches from methods that ask little at a time,
# few enough that memory does not grow with the number of images.
LIVE = 16


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


@dataclass(frozen=True, eq=False)
class Outcome(Generic[T]):
    """How a job ended: the flows' values in order, or the error that stopped it."""

    job: Job[T]
    values: tuple[T, ...]
    error: Exception | None
    evaluations: int
    seconds: float


class Engine:
    """Runs flows against one classifier.

    Parameters
    ----------
    classifier : Classifier
        What scores the images; its `batch_size` and `workers` decide the batches.
    live : int
        Flows at a time.
    """

    def __init__(self, classifier: Classifier, *, live: int = LIVE) -> None:
        self._classifier = classifier
        self._live = live

    def run(
        self, jobs: Iterable[Job[T]], on_progress: Progress | None = None
    ) -> Iterator[Outcome[T]]:
        """Run jobs and give their outcomes as they end, which may be out of order.

        A job whose own code, fill or scores fail ends with its error, and the others go
        on. A classifier that fails to run at all ends everything.
        """
        waiting = iter(jobs)
        running: list[_Running[T]] = []
        pool = ThreadPoolExecutor(self._classifier.workers, thread_name_prefix="onnxplain")
        flying: dict[Future[list[_Scored]], list[_Slice]] = {}
        try:
            while True:
                while len(running) < self._live and (job := next(waiting, None)) is not None:
                    running.append(_Running(job, self._classifier))
                running, ended = _split(running)
                yield from (one.outcome() for one in ended)
                # One batch waits behind each running one, so that no worker idles.
                while len(flying) < 2 * self._classifier.workers:
                    batch = self._form_batch(running)
                    if not batch:
                        break
                    flying[pool.submit(_score, self._classifier, batch)] = batch
                if not flying:
                    if not running and not ended:
                        return
                    continue
                done, _ = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    del flying[future]
                    for scored in future.result():
                        scored.slice.owner.receive(scored)
                        if on_progress:
                            on_progress(scored.slice.stop - scored.slice.start)
        finally:
            pool.shutdown(cancel_futures=True)
            for one in running:
                one.close()

    def _form_batch(self, running: list[_Running[T]]) -> list[_Slice]:
        """Fill one batch from the live flows in turn."""
        batch: list[_Slice] = []
        room = self._classifier.batch_size
        for one in running:
            if room and (piece := one.take(room)) is not None:
                batch.append(piece)
                room -= piece.stop - piece.start
        return batch


class _Slice(NamedTuple):
    """Items `start` to `stop` of a query, to be scored in one batch."""

    owner: _Running[Any]
    query: Query
    prepared: Prepared | None  # the fill, for masks
    planes: Any  # what the classifier composes from, where the fill is one picture
    start: int
    stop: int


class _Scored(NamedTuple):
    slice: _Slice
    raw: Scores | None
    error: Exception | None


@dataclass(eq=False)
class _Running(Generic[T]):
    """A job under way: its open query, and the scores that have come back."""

    job: Job[T]
    classifier: Classifier
    values: tuple[T, ...] = ()
    error: Exception | None = None
    ended: bool = False
    evaluations: int = 0
    began: float = field(default_factory=time.perf_counter)
    query: Query | None = None
    raw: Scores | None = None
    sent: int = 0
    told: int = 0
    # One fill is prepared once for the whole job, so noise stays the same between queries.
    fills: dict[Fill, tuple[Prepared, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._advance(lambda flow, _: next(flow))

    def take(self, room: int) -> _Slice | None:
        """Up to `room` items of the open query that no batch holds yet."""
        if self.query is None or self.ended or self.sent == len(self.query):
            return None
        start, stop = self.sent, min(self.sent + room, len(self.query))
        prepared, planes = None, None
        if isinstance(self.query, MaskQuery):
            try:
                prepared, planes = self._prepare(self.query.fill or self.job.fill)
            except Exception as error:  # a fill is a plugin: its failure is its job's alone
                self._fail(error)
                return None
        self.sent = stop
        return _Slice(self, self.query, prepared, planes, start, stop)

    def receive(self, scored: _Scored) -> None:
        """Take the scores of one slice; when the query is complete, tell the flows."""
        if self.ended:
            return
        if scored.error is not None or scored.raw is None:
            self._fail(scored.error or RuntimeError("no scores"))
            return
        start, stop = scored.slice.start, scored.slice.stop
        if not np.isfinite(scored.raw).all():
            self._fail(ScoreError(_not_finite(self.job, scored.raw)))
            return
        if self.raw is None:
            assert self.query is not None
            self.raw = np.empty((len(self.query), scored.raw.shape[1]), np.float32)
        self.raw[start:stop] = scored.raw
        self.told += stop - start
        self.evaluations += stop - start
        if self.query is not None and self.told == len(self.query):
            raw, kind = self.raw, self.query.kind
            outputs = self.classifier.outputs
            self._advance(
                lambda flow, case: flow.send(
                    Reply(target_scores(raw, case.target, outputs=outputs, kind=kind))
                )
            )

    def outcome(self) -> Outcome[T]:
        """How the job ended."""
        seconds = time.perf_counter() - self.began
        return Outcome(self.job, self.values, self.error, self.evaluations, seconds)

    def close(self) -> None:
        """Stop the flows where they are."""
        for flow in self.job.flows:
            flow.close()

    def _advance(self, step: Callable[[Flow[T], Case], Query]) -> None:
        """Let every flow go on until it asks or returns; all do the same."""
        queries, values = [], []
        try:
            for flow, case in zip(self.job.flows, self.job.cases, strict=True):
                try:
                    queries.append(step(flow, case))
                except StopIteration as stop:
                    values.append(stop.value)
        except Exception as error:  # a method is a plugin: its failure is its job's alone
            self._fail(error)
            return
        self.raw, self.sent, self.told = None, 0, 0
        if values:
            self.values, self.ended, self.query = tuple(values), True, None
        else:
            self.query = queries[0]

    def _prepare(self, fill: Fill) -> tuple[Prepared, Any]:
        if fill not in self.fills:
            case = self.job.cases[0]
            prepared = fill.prepare(case.image, generator(self.job.seed, case.name, "fill"))
            planes = None if callable(prepared) else self.classifier.planes(case.image, prepared)
            self.fills[fill] = prepared, planes
        return self.fills[fill]

    def _fail(self, error: Exception) -> None:
        self.error, self.ended, self.query = error, True, None
        self.close()


def _split(running: list[_Running[T]]) -> tuple[list[_Running[T]], list[_Running[T]]]:
    return [one for one in running if not one.ended], [one for one in running if one.ended]


def _score(classifier: Classifier, batch: list[_Slice]) -> list[_Scored]:
    """Render, compose and score one batch; runs in a worker thread."""
    composed = [piece for piece in batch if piece.planes is not None]
    others = [piece for piece in batch if piece.planes is None]
    scored: list[_Scored] = []
    if composed:
        parts = [
            Part(piece.planes, piece.query.masks, piece.start, piece.stop)
            for piece in composed
            if isinstance(piece.query, MaskQuery)
        ]
        scored += _cut(composed, classifier.masked_scores(parts))
    pictured, pictures = [], []
    for piece in others:
        try:
            pictures.append(_pictures(piece))
            pictured.append(piece)
        except Exception as error:  # an inpainter is a plugin: its failure is its job's alone
            scored.append(_Scored(piece, None, error))
    if pictured:
        scored += _cut(pictured, classifier.scores(np.concatenate(pictures)))
    return scored


def _cut(pieces: list[_Slice], raw: Scores) -> list[_Scored]:
    ends = np.cumsum([piece.stop - piece.start for piece in pieces])
    rows = np.split(raw, ends[:-1])
    return [_Scored(piece, part, None) for piece, part in zip(pieces, rows, strict=True)]


def _pictures(piece: _Slice) -> Images:
    """The images of a slice whose fill depends on the mask, or that came as images."""
    if isinstance(piece.query, ImageQuery):
        return piece.query.images[piece.start : piece.stop]
    assert callable(piece.prepared)
    masks = piece.query.masks.render(piece.start, piece.stop)
    image, fill = piece.owner.job.cases[0].image, piece.prepared(masks)
    removed = masks[..., None]
    composed: Images = image * (1 - removed) + fill * removed  # eq. 1
    return composed


def _not_finite(job: Job[Any], raw: NDArray[np.float32]) -> str:
    what = "NaN" if np.isnan(raw).any() else "infinite"
    return (
        f"{job.cases[0].name}: the classifier answered with {what} scores; the model file may "
        f"be damaged, its preprocessing wrong (see onnxplain inspect), or it overflows in float16"
    )
