"""One batch: slices of the live flows' queries, rendered, composed and scored.

This is the work of a worker thread. It knows nothing of flows and only reads shared values.
Slices are prepared one by one, because their masks and fills may be plugins, which may fail.
One call of the classifier then answers all slices that are ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Images, Layer, ScoreKind
from onnxplain.core.errors import GradientUnusable, ModelError, ScoreError
from onnxplain.core.flow import FillQuery, ImageQuery, MaskQuery, Query, TailQuery
from onnxplain.core.inside import Array, Incremental, Inside, Layered, Tensors
from onnxplain.core.protocols import Classifier, Differentiable, Part
from onnxplain.core.scores import RAW
from onnxplain.engine.fillings import Filling
from onnxplain.engine.preparing import fill_masks, make_images, make_parts, render_slice
from onnxplain.engine.slices import Effort, Slice, SliceAnswer, SliceFailure, SliceResult
from onnxplain.masks.families import PatchMasks

T = TypeVar("T")
NO_LAYERS = "the method looks inside the classifier, and this one has no layers"


class Call(NamedTuple):
    """The call that answers a slice: slices of the same call can share a batch."""

    name: Literal[
        "fill",
        "masked_scores",
        "changed_scores",
        "scores",
        "score_grads",
        "look_inside",
        "run_tail",
    ]
    kind: ScoreKind | None = None  # of the score that is differentiated
    wants: Tensors | None = None
    tail: Layer | None = None
    patch: int | None = None  # of the masks of `changed_scores`


def choose_call(query: Query, filling: Filling | None, classifier: Classifier) -> Call:
    """Choose the call that answers the slices of a query."""
    if isinstance(query, FillQuery):
        return Call("fill")
    if isinstance(query, TailQuery):
        return Call("run_tail", query.kind, tail=query.layer)
    wants = _find_wants(query, classifier)
    if wants is not None:
        return Call("look_inside", wants=wants)
    if isinstance(query, ImageQuery) and (query.grad or query.wants is not None):
        return Call("score_grads", query.kind)
    if filling is None or not filling.is_composed_by_classifier:
        return Call("scores")
    if (
        isinstance(query, MaskQuery)
        and query.incremental
        and isinstance(query.masks, PatchMasks)
        and filling.planes is not None  # one picture for all masks
        and isinstance(classifier, Incremental)
    ):
        return Call("changed_scores", patch=query.masks.patch)
    return Call("masked_scores")


def _find_wants(query: MaskQuery | ImageQuery, classifier: Classifier) -> Tensors | None:
    """Return what a query wants that only a look inside the classifier tells."""
    asked = query.wants if isinstance(query, ImageQuery) else None
    if asked is not None:
        has_other_way = asked.is_plain_gradient and not isinstance(classifier, Layered)
        return None if has_other_way else asked
    # The scores of two classes may be those of a single logit.
    is_hidden = classifier.outputs == "probabilities" or len(classifier.class_names) == 2
    if query.kind in RAW and is_hidden and isinstance(classifier, Layered):
        grad = isinstance(query, ImageQuery) and query.grad
        return Tensors(score=query.kind, image=grad)
    return None


def answer_batch(
    classifier: Classifier,
    gradients: Differentiable | None,
    batch: Sequence[Slice],
    turn: AbstractContextManager[Any],
) -> list[SliceResult]:
    """Answer slices of the same call, in order; hold `turn` while the classifier computes."""
    began = time.perf_counter()
    call = choose_call(batch[0].query, batch[0].filling, classifier)
    if call.name == "fill":
        results = _answer_fills(batch)
    elif call.name == "run_tail":
        results = _run_tails(classifier, call, batch, turn)
    elif call.name in ("masked_scores", "changed_scores"):
        results = _score_masks(classifier, call, batch, turn)
    else:
        results = _score_images(classifier, gradients, call, batch, turn)
    return _share_time(batch, results, time.perf_counter() - began)


def _answer_fills(batch: Sequence[Slice]) -> list[SliceResult]:
    """Make the fills that slices of `FillQuery` ask for."""
    fills, results = _prepare(batch, lambda piece: fill_masks(piece, render_slice(piece)))
    for piece, (images, effort) in fills.items():
        results[piece] = SliceAnswer(images=images, effort=effort)
    return [results[piece] for piece in batch]


def _run_tails(
    classifier: Classifier, call: Call, batch: Sequence[Slice], turn: AbstractContextManager[Any]
) -> list[SliceResult]:
    """Score slices of `TailQuery`: what is behind a layer runs on the values that they make."""
    assert call.tail is not None
    assert call.kind is not None
    made, results = _prepare(batch, _make_values)
    ready = list(made)
    if ready and not isinstance(classifier, Layered):
        return [SliceFailure(ModelError(NO_LAYERS))] * len(batch)
    if ready and isinstance(classifier, Layered):
        values = np.concatenate(list(made.values()))
        try:
            with turn:
                inside = classifier.run_tail(call.tail, values, call.kind)
        except ModelError as fault:
            return [SliceFailure(fault)] * len(batch)
        results.update(zip(ready, _split_rows(ready, inside), strict=True))
    return [results[piece] for piece in batch]


def _make_values(piece: Slice) -> Array:
    """Return the values of a layer that a slice asks about."""
    assert isinstance(piece.query, TailQuery)
    values = piece.query.make(piece.start, piece.stop)
    expected = (len(piece), *piece.query.layer.shape)
    if values.shape != expected:
        raise ValueError(f"values of a layer have the shape {expected}, got {values.shape}")
    return values.astype(np.float32, copy=False)


def _score_masks(
    classifier: Classifier, call: Call, batch: Sequence[Slice], turn: AbstractContextManager[Any]
) -> list[SliceResult]:
    """Score slices of masks that the classifier composes itself."""
    made, results = _prepare(batch, make_parts)
    results.update(_score_parts(classifier, call, made, turn))
    return [results[piece] for piece in batch]


def _score_parts(
    classifier: Classifier,
    call: Call,
    made: Mapping[Slice, tuple[list[Part], Effort]],
    turn: AbstractContextManager[Any],
) -> Mapping[Slice, SliceResult]:
    """Score the parts of some slices; the effort is that of their fills."""
    if not made:
        return {}
    parts = [part for its_parts, _ in made.values() for part in its_parts]
    try:
        with turn:
            if call.name == "changed_scores" and isinstance(classifier, Incremental):
                inside = classifier.changed_scores(parts)
            else:
                inside = Inside(classifier.masked_scores(parts))
            scored = _split_rows(list(made), inside)
    except Exception:
        # Masks may be plugins: if some cannot be rendered, score the other slices again.
        rendered, failed = _prepare(list(made), render_slice)
        if not failed:
            raise
        again = {piece: made[piece] for piece in rendered}
        return {**failed, **_score_parts(classifier, call, again, turn)}
    efforts = (effort for _, effort in made.values())
    return dict(zip(made, map(_set_effort, scored, efforts), strict=True))


def _score_images(
    classifier: Classifier,
    gradients: Differentiable | None,
    call: Call,
    batch: Sequence[Slice],
    turn: AbstractContextManager[Any],
) -> list[SliceResult]:
    """Score slices of images, or of masks that are composed here."""
    composed, results = _prepare(batch, make_images)
    if composed:
        images = np.concatenate([images for images, _ in composed.values()])
        with turn:
            scored = _call_classifier(classifier, gradients, call, list(composed), images)
        for result, (piece, (_, effort)) in zip(scored, composed.items(), strict=True):
            results[piece] = _set_effort(result, effort)
    return [results[piece] for piece in batch]


def _call_classifier(
    classifier: Classifier,
    gradients: Differentiable | None,
    call: Call,
    pieces: Sequence[Slice],
    images: Images,
) -> list[SliceResult]:
    """Score the images of some slices, with gradients and layers if their queries want them."""
    if call.name == "scores":
        return _split_rows(pieces, Inside(classifier.scores(images)))
    targets = np.repeat([piece.case.target for piece in pieces], [len(piece) for piece in pieces])
    if call.wants is None and gradients is None:
        error = ModelError("the method asks for gradients and this classifier has none")
        return [SliceFailure(error)] * len(pieces)
    try:
        inside = _look_inside(classifier, gradients, call, images, targets)
    except ModelError as fault:
        if call.wants is None:
            raise
        return [SliceFailure(fault)] * len(pieces)
    except ScoreError as fault:
        if len(pieces) == 1:
            return [SliceFailure(GradientUnusable(f"{pieces[0].case.name}: {fault}"))]
        # A single image may be at fault: ask for each slice alone.
        ends = np.cumsum([len(piece) for piece in pieces])[:-1]
        alone = zip(pieces, np.split(images, ends), strict=True)
        return [
            _call_classifier(classifier, gradients, call, [piece], part)[0] for piece, part in alone
        ]
    return _split_rows(pieces, inside)


def _look_inside(
    classifier: Classifier,
    gradients: Differentiable | None,
    call: Call,
    images: Images,
    targets: NDArray[np.int64],
) -> Inside:
    """Return what a call wants about the inside, or the plain gradient by the image."""
    if call.wants is None:
        assert gradients is not None
        assert call.kind is not None
        scores, grads = gradients.score_grads(images, targets, call.kind)
        return Inside(scores, grads=grads)
    if not isinstance(classifier, Layered):
        raise ModelError(NO_LAYERS)
    return classifier.look_inside(images, targets, call.wants)


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


def _split_rows(pieces: Sequence[Slice], inside: Inside) -> list[SliceResult]:
    """Give every slice its rows of the scores and gradients, and of the layers reduced."""
    results: dict[Slice, SliceResult] = {}
    row = 0
    for piece in pieces:
        rows = slice(row, row + len(piece))
        try:
            results[piece] = _take_rows(piece, inside, rows)
        except Exception as error:  # a reduction may be a plugin's
            results[piece] = SliceFailure(error)
        row += len(piece)
    return [results[piece] for piece in pieces]


def _take_rows(piece: Slice, inside: Inside, rows: slice) -> SliceAnswer:
    chosen = piece.query.reduce if isinstance(piece.query, ImageQuery) else None
    reductions = chosen if isinstance(chosen, tuple) else [chosen or keep_all] * len(inside.layers)
    return SliceAnswer(
        inside.scores[rows],
        None if inside.grads is None else inside.grads[rows],
        logits=None if inside.logits is None else inside.logits[rows],
        layers=tuple(
            reduce(values[rows], None if grads is None else grads[rows])
            for reduce, (values, grads) in zip(reductions, inside.layers, strict=True)
        ),
        facts=inside.facts,
    )


def keep_all(values: Array, grads: Array | None) -> Array:
    """Reduce nothing: return values and gradients (N, 2, C, h, w), or values (N, 1, C, h, w)."""
    return np.stack([values] if grads is None else [values, grads], axis=1)


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
