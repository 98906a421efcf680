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
from onnxplain.scores import probabilities, target_scores

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
        flying: set[Future[list[_Scored]]] = set()
        try:
            while True:
                while len(running) < self._live and (job := next(waiting, None)) is not None:
                    running.append(_Running(job, self._classifier))
                ended = [one for one in running if one.query is None]
                running = [one for one in running if one.query is not None]
                yield from (one.outcome() for one in ended)
                # One batch waits behind each running one, so that no worker idles.
                while len(flying) < 2 * self._classifier.workers:
                    batch = self._form_batch(running)
                    if not batch:
                        break
                    flying.add(pool.submit(_score, self._classifier, batch))
                if not flying:
                    if not running and not ended:
                        return
                    continue
                done, flying = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    for scored in future.result():
                        scored.slice.owner.receive(scored)
                        if on_progress:
                            on_progress(len(scored.slice))
        finally:
            pool.shutdown(cancel_futures=True)
            for one in running:
                one.close()

    def _form_batch(self, running: list[_Running[T]]) -> list[_Slice]:
        """Fill one batch from the live flows in turn.

        Masks to compose and finished images go to different calls of the classifier, so a
        batch holds one sort: that of which more is waiting.
        """
        waiting = [one for one in running if one.waiting]
        sorts = [
            [one for one in waiting if _composes(one)],
            [one for one in waiting if not _composes(one)],
        ]
        batch: list[_Slice] = []
        room = self._classifier.batch_size
        for one in max(sorts, key=lambda sort: sum(each.waiting for each in sort)):
            if room:
                batch.append(one.take(room))
                room -= len(batch[-1])
        return batch


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """Items `start` to `stop` of a running job's query, to be scored in one batch."""

    owner: _Running[Any]
    query: Query
    fill: _Prepared | None
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class _Prepared(NamedTuple):
    """A fill made for one image."""

    picture: Prepared
    planes: Any  # what the classifier composes from, where the fill is one picture


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
    evaluations: int = 0
    began: float = field(default_factory=time.perf_counter)
    query: Query | None = None  # none: the job has ended
    fill: _Prepared | None = None  # the open query's; none: it asks for images
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    classes: NDArray[np.float32] | None = None  # every class's, where the query wants them
    sent: int = 0
    told: int = 0
    # A fill is prepared once for the whole job, so noise stays the same between queries.
    fills: dict[Fill, _Prepared] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._advance(next)

    @property
    def waiting(self) -> int:
        """Items of the open query that no batch holds yet."""
        return len(self.query) - self.sent if self.query is not None else 0

    def take(self, room: int) -> _Slice:
        """Up to `room` items of the open query that no batch holds yet."""
        assert self.query is not None
        start, self.sent = self.sent, min(self.sent + room, len(self.query))
        return _Slice(self, self.query, self.fill, start, self.sent)

    def receive(self, scored: _Scored) -> None:
        """Take the scores of one slice; when the query is complete, tell the flows."""
        if self.query is None:
            return
        if scored.raw is None:
            assert scored.error is not None
            self._fail(scored.error)
            return
        if not np.isfinite(scored.raw).all():
            self._fail(ScoreError(_not_finite(self.job, scored.raw)))
            return
        # Else only the targets' scores are kept: all classes of many masks would fill memory.
        rows = slice(scored.slice.start, scored.slice.stop)
        outputs, kind = self.classifier.outputs, self.query.kind
        for scores, case in zip(self.scores, self.job.cases, strict=True):
            scores[rows] = target_scores(scored.raw, case.target, outputs=outputs, kind=kind)
        if self.classes is not None:
            self.classes[rows] = probabilities(scored.raw, outputs)
        self.told += len(scored.slice)
        self.evaluations += len(scored.slice)
        if self.told == len(self.query):
            replies = iter([Reply(scores, self.classes) for scores in self.scores])
            self._advance(lambda flow: flow.send(next(replies)))

    def outcome(self) -> Outcome[T]:
        """How the job ended."""
        seconds = time.perf_counter() - self.began
        return Outcome(self.job, self.values, self.error, self.evaluations, seconds)

    def close(self) -> None:
        """Stop the flows where they are."""
        for flow in self.job.flows:
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
            self.query, self.values = (queries[0] if queries else None), tuple(values)
            self.fill = self._prepare(self.query) if isinstance(self.query, MaskQuery) else None
        except Exception as error:  # a method or fill is a plugin: its failure is its job's
            self._fail(error)
            return
        n_items = len(self.query) if self.query is not None else 0
        self.scores = np.empty((len(self.job.cases), n_items))
        wanted = self.query is not None and self.query.classes
        n_classes = len(self.classifier.class_names)
        self.classes = np.empty((n_items, n_classes), np.float32) if wanted else None
        self.sent, self.told = 0, 0

    def _prepare(self, query: MaskQuery) -> _Prepared:
        fill = query.fill or self.job.fill
        if fill not in self.fills:
            case = self.job.cases[0]
            picture = fill.prepare(case.image, generator(self.job.seed, case.name, "fill"))
            planes = None if callable(picture) else self.classifier.planes(case.image, picture)
            self.fills[fill] = _Prepared(picture, planes)
        return self.fills[fill]

    def _fail(self, error: Exception) -> None:
        self.error, self.query = error, None
        self.close()


def _composes(one: _Slice | _Running[Any]) -> bool:
    """Whether the classifier composes the images itself, from an image and one picture."""
    return one.fill is not None and not callable(one.fill.picture)


def _score(classifier: Classifier, batch: list[_Slice]) -> list[_Scored]:
    """Render, compose and score one batch; runs in a worker thread."""
    if _composes(batch[0]):
        parts = []
        for piece in batch:
            assert isinstance(piece.query, MaskQuery)
            assert piece.fill is not None
            parts.append(Part(piece.fill.planes, piece.query.masks, piece.start, piece.stop))
        return _cut(batch, classifier.masked_scores(parts))
    pictured, pictures, scored = [], [], []
    for piece in batch:
        try:
            pictures.append(_pictures(piece))
            pictured.append(piece)
        except Exception as error:  # an inpainter is a plugin: its failure is its job's alone
            scored.append(_Scored(piece, None, error))
    if pictured:
        scored += _cut(pictured, classifier.scores(np.concatenate(pictures)))
    return scored


def _cut(pieces: list[_Slice], raw: Scores) -> list[_Scored]:
    """Give every slice its rows of a batch's scores."""
    rows = np.split(raw, np.cumsum([len(piece) for piece in pieces])[:-1])
    return [_Scored(piece, part, None) for piece, part in zip(pieces, rows, strict=True)]


def _pictures(piece: _Slice) -> Images:
    """The images of a slice whose fill depends on the mask, or that came as images."""
    if isinstance(piece.query, ImageQuery):
        return piece.query.images[piece.start : piece.stop]
    assert piece.fill is not None
    assert callable(piece.fill.picture)
    masks = piece.query.masks.render(piece.start, piece.stop)
    image, fill = piece.owner.job.cases[0].image, piece.fill.picture(masks)
    removed = masks[..., None]
    composed: Images = image * (1 - removed) + fill * removed  # eq. 1
    return composed


def _not_finite(job: Job[Any], raw: NDArray[np.float32]) -> str:
    what = "NaN" if np.isnan(raw).any() else "infinite"
    return (
        f"{job.cases[0].name}: the classifier answered with {what} scores; the model file may "
        f"be damaged, its preprocessing wrong (see onnxplain inspect), or it overflows in float16"
    )
