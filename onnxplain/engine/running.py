"""A job under way: its flows ask, slices of the query are answered, and the flows go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Case, Images, Outputs, make_rng
from onnxplain.core.errors import GradientUnusable, ScoreError
from onnxplain.core.flow import FillQuery, Flow, ImageQuery, MaskQuery, Query, Reply, TailQuery
from onnxplain.core.protocols import Classifier, Fill, JoinsFills
from onnxplain.core.scores import (
    compute_target_scores,
    find_fault,
    is_multilabel,
    to_probabilities,
)
from onnxplain.engine.fillings import Filling, FillingCache
from onnxplain.engine.jobs import Job, Outcome
from onnxplain.engine.slices import Effort, Slice, SliceAnswer, SliceFailure, SliceResult
from onnxplain.masks.families import ArrayMasks

T = TypeVar("T")

_MAX_FILLINGS = 4  # kept per job, as a method may ask for a new fill in every step


@dataclass(eq=False)
class OpenQuery:
    """A query that is being answered, and the answers so far.

    Only the targets' scores are kept: the scores of all classes for many masks would fill memory.
    """

    query: Query
    filling: Filling | None  # None where nothing is filled
    scores: NDArray[np.float64]  # (cases, items)
    classes: NDArray[np.float32] | None = None
    grads: Images | None = None
    images: Images | None = None
    layers: tuple[NDArray[np.floating[Any]], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    n_taken: int = 0  # items that were put into batches
    n_answered: int = 0

    @property
    def n_waiting(self) -> int:
        """Items that no batch holds yet."""
        return len(self.query) - self.n_taken

    @property
    def is_complete(self) -> bool:
        """Whether all items are answered."""
        return self.n_answered == len(self.query)

    def take(self, room: int, case: Case) -> Slice:
        """Take up to `room` of the waiting items."""
        start = self.n_taken
        self.n_taken = min(start + room, len(self.query))
        return Slice(case, self.query, self.filling, start, self.n_taken)

    def receive(
        self, piece: Slice, answer: SliceAnswer, cases: tuple[Case, ...], outputs: Outputs
    ) -> None:
        """Store the answer to one slice."""
        rows = slice(piece.start, piece.stop)
        if answer.raw is not None and not isinstance(self.query, FillQuery):
            kind, logits = self.query.kind, answer.logits
            raw, held = answer.raw, outputs
            if logits is not None:
                raw, held = logits, "multilabel-logits" if is_multilabel(outputs) else "logits"
            for scores, case in zip(self.scores, cases, strict=True):
                scores[rows] = compute_target_scores(raw, case.target, outputs=held, kind=kind)
            if self.query.classes:
                probabilities = to_probabilities(answer.raw, outputs)
                self.classes = self._store(self.classes, rows, probabilities)
        if answer.grads is not None:
            self.grads = self._store(self.grads, rows, answer.grads)
        if answer.images is not None:
            self.images = self._store(self.images, rows, answer.images)
        if answer.layers:
            stored = self.layers or (None,) * len(answer.layers)
            self.layers = tuple(
                self._store(before, rows, values)
                for before, values in zip(stored, answer.layers, strict=True)
            )
        self.facts = answer.facts or self.facts
        self.n_answered += len(piece)

    def make_replies(self) -> list[Reply]:
        """Make one reply per case."""
        return [
            Reply(scores, self.classes, self.grads, self.images, self.layers, self.facts)
            for scores in self.scores
        ]

    def _store(
        self, stored: NDArray[Any] | None, rows: slice, values: NDArray[np.floating[Any]]
    ) -> NDArray[Any]:
        if stored is None:
            stored = np.empty((len(self.query), *values.shape[1:]), np.float32)
        stored[rows] = values
        return stored


@dataclass(eq=False)
class RunningJob(Generic[T]):
    """A job under way; `open_query` is None when it has ended."""

    job: Job[T]
    classifier: Classifier
    cache: FillingCache
    values: tuple[T, ...] = ()
    error: Exception | None = None
    evaluations: int = 0
    effort: Effort = field(default_factory=Effort)
    began: float = field(default_factory=time.perf_counter)
    open_query: OpenQuery | None = None
    fillings: dict[Fill, Filling] = field(default_factory=dict)  # the latest ones

    def __post_init__(self) -> None:
        self._advance(next)

    @property
    def n_waiting(self) -> int:
        """Items of the open query that no batch holds yet."""
        return self.open_query.n_waiting if self.open_query else 0

    def take(self, room: int) -> Slice:
        """Take up to `room` of the waiting items."""
        assert self.open_query is not None
        return self.open_query.take(room, self.job.cases[0])

    def receive(self, piece: Slice, result: SliceResult) -> None:
        """Receive the result of a slice; when the query is complete, let the flows go on."""
        query = self.open_query
        if query is None or piece.query is not query.query:  # an earlier slice failed
            return
        if isinstance(result, SliceFailure):
            self._fail(result.error)
            return
        try:
            check_values(result, self.job.cases[0].name, self.classifier.outputs)
            query.receive(piece, result, self.job.cases, self.classifier.outputs)
        except Exception as error:  # not finite, or a target that is not a class
            self._fail(error)
            return
        self.evaluations += 0 if result.raw is None else len(piece)
        self.effort = self.effort.plus(result.effort)
        if query.is_complete:
            replies = iter(query.make_replies())
            self._advance(lambda flow: flow.send(next(replies)))

    def make_outcome(self) -> Outcome[T]:
        """Make the outcome of a job that has ended."""
        seconds = time.perf_counter() - self.began
        return Outcome(self.job, self.values, self.error, self.evaluations, seconds, self.effort)

    def close(self) -> None:
        """Stop the flows where they are."""
        for flow in self.job.flows:
            with suppress(Exception):  # a plugin's; why the flow is stopped is known already
                flow.close()

    def _advance(self, step: Callable[[Flow[T]], Query], failure: Exception | None = None) -> None:
        """Let every flow go on until it asks or returns; all flows of a job do the same.

        If they do not survive a failure, it is the error of the job, whatever they raise.
        """
        queries, values = [], []
        self.open_query = None
        try:
            for flow in self.job.flows:
                try:
                    queries.append(step(flow))
                except StopIteration as stop:
                    values.append(stop.value)
        except Exception as error:  # methods may be plugins: only their job fails
            self.error = failure or error
            self.close()
            return
        self.values = tuple(values)
        if not queries:
            return
        try:
            self.open_query = self._open(queries[0])
        except Exception as error:  # so may fills
            self._fail(error)

    def _open(self, query: Query) -> OpenQuery:
        query = normalise_query(query, self.job.cases[0])
        filling = None
        if isinstance(query, MaskQuery | FillQuery):
            filling = self._get_filling(query)
        return OpenQuery(query, filling, np.empty((len(self.job.cases), len(query))))

    def _get_filling(self, query: MaskQuery | FillQuery) -> Filling:
        fill = query.fill or self.job.fill
        if fill not in self.fillings:
            case = self.job.cases[0]
            while len(self.fillings) >= _MAX_FILLINGS:
                del self.fillings[next(iter(self.fillings))]
            identity = fill, self.job.seed, case.name
            self.fillings[fill] = self.cache.share(
                case.image, identity, lambda: self._prepare(fill, case, identity)
            )
        return self.fillings[fill]

    def _prepare(self, fill: Fill, case: Case, identity: Hashable) -> Filling:
        # Draws depend on seed and name alone, so noise is the same from query to query.
        prepared = fill.prepare(case.image, make_rng(self.job.seed, case.name, "fill"))
        if callable(prepared):
            joined = None
            if isinstance(self.classifier, JoinsFills):
                joined = self.classifier.join(case.image, prepared)
            cached = self.cache.get_fill(case.image, identity, joined or prepared)
            return Filling(cached, planes=None)
        if prepared.shape != case.image.shape:
            raise ValueError(
                f"{type(fill).__name__}: a fill is a picture of the image's size, "
                f"{case.image.shape}, got {prepared.shape}"
            )
        picture = prepared.astype(np.float32, copy=False)
        return Filling(picture, self.classifier.planes(case.image, picture))

    def _fail(self, error: Exception) -> None:
        """Raise an error where the flows asked; one that catches it may ask something else."""
        if isinstance(error, GradientUnusable) and self.job.advice:
            error = GradientUnusable(f"{error}; {self.job.advice}")
        self._advance(lambda flow: flow.throw(error), error)


def normalise_query(query: Query, case: Case) -> Query:
    """Return a query with its masks and images in the form that the workers expect.

    Raises
    ------
    TypeError, ValueError
        If it is not a query, is empty, or its masks or images do not have the case's size.
    """
    rows, columns = case.size
    if not isinstance(query, Query):
        raise TypeError(
            f"a method yields a MaskQuery, an ImageQuery, a TailQuery or a FillQuery, got "
            f"{type(query).__name__}"
        )
    if not len(query):
        raise ValueError(f"a {type(query).__name__} needs at least one mask or image, got none")
    if isinstance(query, ImageQuery):
        shape = query.images.shape
        if query.images.ndim != 4 or shape[1:] != (rows, columns, 3):
            raise ValueError(
                f"an ImageQuery asks for images of the case's size, (N, {rows}, {columns}, 3), got "
                f"{shape}"
            )
        kind = query.kind if query.wants is None else query.wants.score
        return replace(query, images=query.images.astype(np.float32, copy=False), kind=kind)
    if isinstance(query, TailQuery):
        return query
    if query.fill is not None and not hasattr(query.fill, "prepare"):
        raise TypeError(f"the fill of a query is a Fill, such as Blur(), got {query.fill!r}")
    if isinstance(query.masks, np.ndarray):
        query = replace(query, masks=ArrayMasks(query.masks))
    if query.masks.size != case.size:
        raise ValueError(
            f"a {type(query).__name__} asks for masks of the case's size, {rows} x {columns}, got "
            f"{' x '.join(map(str, query.masks.size))}"
        )
    return query


def check_values(answer: SliceAnswer, name: str, outputs: Outputs) -> None:
    """Check that all scores and gradients of the image `name` are what they can be.

    Raises
    ------
    ScoreError
        If a score is NaN or infinite, or probabilities cannot be any.
    GradientUnusable
        If a gradient is NaN or infinite.
    """
    if answer.raw is not None and not np.isfinite(answer.raw).all():
        value = "NaN" if np.isnan(answer.raw).any() else "infinite"
        raise ScoreError(
            f"{name}: the classifier returned {value} scores; the model file may be damaged, its "
            f"preprocessing wrong (see onnxplain inspect), or the model overflows in float16"
        )
    if answer.raw is not None and (fault := find_fault(answer.raw, outputs)):
        raise ScoreError(f"{name}: {fault}")
    if answer.grads is not None and (bad := ~np.isfinite(answer.grads)).any():
        _, row, column, channel = (int(indices[0]) for indices in np.nonzero(bad))
        raise GradientUnusable(
            f"{name}: the gradient with respect to the image is {answer.grads[bad][0]} at row "
            f"{row}, column {column}, {('red', 'green', 'blue')[channel]}"
        )
