"""One batch: slices of the live flows' queries, rendered, composed and scored.

This is the work of a worker thread. It knows nothing of flows and only reads shared values.
Slices are prepared one by one, because their masks and fills may be plugins, which may fail.
One call of the classifier then answers all slices that are ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from onnxplain.core.data import Images, Mask, ScoreKind, Scores
from onnxplain.core.errors import GradientUnusable, ModelError, ScoreError
from onnxplain.core.flow import FillQuery, ImageQuery, MaskQuery, Query
from onnxplain.core.protocols import Classifier, Differentiable, Part
from onnxplain.engine.fillings import CachedFill
from onnxplain.engine.slices import Effort, Filling, Slice, SliceAnswer, SliceFailure, SliceResult
from onnxplain.masks.families import render_masks

T = TypeVar("T")


class Call(NamedTuple):
    """The call that answers a slice: slices of the same call can share a batch."""

    name: Literal["fill", "masked_scores", "scores", "score_grads"]
    kind: ScoreKind | None = None  # of the score that is differentiated


def choose_call(query: Query, filling: Filling | None) -> Call:
    """Choose the call that answers the slices of a query."""
    if isinstance(query, FillQuery):
        return Call("fill")
    if isinstance(query, ImageQuery) and query.grad:
        return Call("score_grads", query.kind)
    return Call("scores" if filling is None or filling.planes is None else "masked_scores")


def answer_batch(
    classifier: Classifier,
    gradients: Differentiable | None,
    batch: Sequence[Slice],
    turn: AbstractContextManager[Any],
) -> list[SliceResult]:
    """Answer slices of the same call, in order; hold `turn` while the classifier computes."""
    began = time.perf_counter()
    call = choose_call(batch[0].query, batch[0].filling)
    if call.name == "fill":
        results = _answer_fills(batch)
    elif call.name == "masked_scores":
        results = _score_masks(classifier, batch, turn)
    else:
        results = _score_images(classifier, gradients, batch, turn)
    return _share_time(batch, results, time.perf_counter() - began)


def _answer_fills(batch: Sequence[Slice]) -> list[SliceResult]:
    """Make the fills that slices of `FillQuery` ask for."""
    fills, results = _prepare(batch, lambda piece: _fill_masks(piece, _render(piece)))
    for piece, (images, effort) in fills.items():
        results[piece] = SliceAnswer(images=images, effort=effort)
    return [results[piece] for piece in batch]


def _score_masks(
    classifier: Classifier, batch: Sequence[Slice], turn: AbstractContextManager[Any]
) -> list[SliceResult]:
    """Score slices of masks that the classifier composes itself."""
    parts = [_make_part(piece) for piece in batch]
    try:
        with turn:
            return _split_rows(batch, raw=classifier.masked_scores(parts))
    except Exception:
        # Masks may be plugins: if some cannot be rendered, score the other slices again.
        rendered, results = _prepare(batch, _render)
        if not results:
            raise
    ready = list(rendered)
    if ready:
        results.update(zip(ready, _score_masks(classifier, ready, turn), strict=True))
    return [results[piece] for piece in batch]


def _score_images(
    classifier: Classifier,
    gradients: Differentiable | None,
    batch: Sequence[Slice],
    turn: AbstractContextManager[Any],
) -> list[SliceResult]:
    """Score slices of images, or of masks that are composed here."""
    composed, results = _prepare(batch, _make_images)
    if composed:
        images = np.concatenate([images for images, _ in composed.values()])
        with turn:
            scored = _call_classifier(classifier, gradients, list(composed), images)
        for result, (piece, (_, effort)) in zip(scored, composed.items(), strict=True):
            results[piece] = _set_effort(result, effort)
    return [results[piece] for piece in batch]


def _call_classifier(
    classifier: Classifier,
    gradients: Differentiable | None,
    pieces: Sequence[Slice],
    images: Images,
) -> list[SliceResult]:
    """Score the images of some slices, with gradients if their queries ask for them."""
    query = pieces[0].query
    if not isinstance(query, ImageQuery) or not query.grad:
        return _split_rows(pieces, raw=classifier.scores(images))
    if gradients is None:
        error = ModelError("the method asks for gradients and this classifier has none")
        return [SliceFailure(error)] * len(pieces)
    targets = np.repeat([piece.case.target for piece in pieces], [len(piece) for piece in pieces])
    try:
        raw, grads = gradients.score_grads(images, targets, query.kind)
    except ScoreError as fault:
        if len(pieces) == 1:
            return [SliceFailure(GradientUnusable(f"{pieces[0].case.name}: {fault}"))]
        # A single image may be at fault: ask for each slice alone.
        ends = np.cumsum([len(piece) for piece in pieces])[:-1]
        alone = zip(pieces, np.split(images, ends), strict=True)
        return [_call_classifier(classifier, gradients, [piece], part)[0] for piece, part in alone]
    return _split_rows(pieces, raw=raw, grads=grads)


def _prepare(
    batch: Sequence[Slice], prepare: Callable[[Slice], T]
) -> tuple[dict[Slice, T], dict[Slice, SliceResult]]:
    """Prepare every slice by itself; return what was prepared, and the failures."""
    ready: dict[Slice, T] = {}
    results: dict[Slice, SliceResult] = {}
    for piece in batch:
        try:
            ready[piece] = prepare(piece)
        except Exception as error:
            results[piece] = SliceFailure(error)
    return ready, results


def _make_part(piece: Slice) -> Part:
    assert isinstance(piece.query, MaskQuery)
    assert piece.filling is not None
    return Part(piece.filling.planes, piece.query.masks, piece.start, piece.stop)


def _make_images(piece: Slice) -> tuple[Images, Effort]:
    """Return the images of a slice: those of its query, or composed here from its masks."""
    if isinstance(piece.query, ImageQuery):
        return piece.query.images[piece.start : piece.stop], Effort()
    assert isinstance(piece.query, MaskQuery)
    masks, holes = _render(piece), piece.query.holes
    fill, effort = _fill_masks(
        piece, masks if holes is None else render_masks(holes, piece.start, piece.stop)
    )
    return piece.case.image + masks[..., None] * (fill - piece.case.image), effort  # eq. 1


def _render(piece: Slice) -> Mask:
    assert not isinstance(piece.query, ImageQuery)
    return render_masks(piece.query.masks, piece.start, piece.stop)


def _fill_masks(piece: Slice, masks: Mask) -> tuple[Images, Effort]:
    """Return the picture that stands in for what each mask removes."""
    assert piece.filling is not None
    picture = piece.filling.picture
    if not isinstance(picture, CachedFill):
        return np.broadcast_to(picture, (len(masks), *picture.shape)), Effort()
    filled = picture(masks)
    return filled.images, Effort(filled.n_made, filled.seconds)


def _split_rows(
    pieces: Sequence[Slice], *, raw: Scores, grads: Images | None = None
) -> list[SliceResult]:
    """Give every slice its rows of the scores and gradients."""
    answers: list[SliceResult] = []
    row = 0
    for piece in pieces:
        rows = slice(row, row + len(piece))
        answers.append(SliceAnswer(raw[rows], None if grads is None else grads[rows]))
        row += len(piece)
    return answers


def _share_time(
    batch: Sequence[Slice], results: Sequence[SliceResult], seconds: float
) -> list[SliceResult]:
    """Give each slice the time of its own fills, and a share by length of all other time."""
    efforts = [result.effort if isinstance(result, SliceAnswer) else Effort() for result in results]
    shared = seconds - sum(effort.inpaint_seconds for effort in efforts)
    per_item = shared / sum(len(piece) for piece in batch)
    return [
        _set_effort(result, effort._replace(seconds=effort.inpaint_seconds + per_item * len(piece)))
        for piece, result, effort in zip(batch, results, efforts, strict=True)
    ]


def _set_effort(result: SliceResult, effort: Effort) -> SliceResult:
    return replace(result, effort=effort) if isinstance(result, SliceAnswer) else result
