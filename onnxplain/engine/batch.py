"""One batch: slices of the live flows' queries, rendered, composed and scored.

This is what a worker thread does. It knows nothing of flows, and reads shared values only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from onnxplain.core.data import Case, Image, Images, Mask, Scores
from onnxplain.core.errors import BY_SCORES, ModelError, ScoreError
from onnxplain.core.flow import FillQuery, ImageQuery, MaskQuery, Query
from onnxplain.core.protocols import Classifier, Differentiable, Part
from onnxplain.engine.fillings import CachedFill
from onnxplain.masks.families import render_masks

T = TypeVar("T")


class Filling(NamedTuple):
    """A fill made for one image."""

    picture: Image | CachedFill
    planes: Any  # what the classifier composes from, where the fill is one picture


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Items `start` to `stop` of a query about a case."""

    case: Case
    query: Query
    filling: Filling | None  # none for images
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Effort(NamedTuple):
    """What an answer took.

    Parameters
    ----------
    inpaints : int
        Pictures that a fill made for masks.
    inpaint_seconds : float
        Spent on them.
    seconds : float
        Spent in all. Workers run side by side, so this may be more than has passed.
    """

    inpaints: int = 0
    inpaint_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def inpaint_share(self) -> float:
        """Share of the seconds that was spent on pictures; 0 if none was spent."""
        return self.inpaint_seconds / self.seconds if self.seconds else 0.0

    def plus(self, other: Effort) -> Effort:
        """Both together."""
        return Effort(
            self.inpaints + other.inpaints,
            self.inpaint_seconds + other.inpaint_seconds,
            self.seconds + other.seconds,
        )


class Answered(NamedTuple):
    """What a slice got, of the three those that its query asks for; and what that took."""

    raw: Scores | None = None  # (n, K)
    grads: Images | None = None  # (n, H, W, 3)
    images: Images | None = None  # (n, H, W, 3)
    effort: Effort = Effort()


# A fill or an inpainter is a plugin: its failure is its slice's alone.
Answer = Answered | Exception


def sort(query: Query, filling: Filling | None) -> Hashable:
    """What slices must have in common to share a batch: the call that answers them."""
    if isinstance(query, FillQuery):
        return "fills"
    if isinstance(query, ImageQuery) and query.grad:
        return query.kind
    return "composed" if filling is not None and filling.planes is not None else "pictures"


def score(
    classifier: Classifier,
    gradients: Differentiable | None,
    batch: Sequence[Slice],
    turn: AbstractContextManager[Any],
) -> list[Answer]:
    """Answer slices of one sort, in order; `turn` is held while the classifier computes."""
    began = time.perf_counter()
    answers = _answers(classifier, gradients, batch, turn)
    return _timed(batch, answers, time.perf_counter() - began)


def _answers(
    classifier: Classifier,
    gradients: Differentiable | None,
    batch: Sequence[Slice],
    turn: AbstractContextManager[Any],
) -> list[Answer]:
    how = sort(batch[0].query, batch[0].filling)
    if how == "composed":
        return _composed(classifier, batch, turn)
    if how == "fills":
        return [_try(_filled, piece) for piece in batch]
    if how != "pictures" and gradients is None:
        return [ModelError(_NO_GRADIENTS)] * len(batch)
    made = [_try(_pictures, piece) for piece in batch]
    pieces = [
        piece for piece, one in zip(batch, made, strict=True) if not isinstance(one, Exception)
    ]
    pictures = [one for one in made if not isinstance(one, Exception)]
    if not pictures:
        return [one for one in made if isinstance(one, Exception)]
    images = np.concatenate([images for images, _ in pictures])
    with turn:
        answers = iter(_answer(classifier, gradients, pieces, images))
    return [
        one if isinstance(one, Exception) else _with(next(answers), effort=one[1]) for one in made
    ]


def _composed(
    classifier: Classifier, batch: Sequence[Slice], turn: AbstractContextManager[Any]
) -> list[Answer]:
    parts = [_part(piece) for piece in batch]
    try:
        with turn:
            return list(_cut(batch, raw=classifier.masked_scores(parts)))
    except Exception:
        # Masks may come from another package: those that cannot be rendered are theirs alone.
        masks = [_try(_rendered, piece) for piece in batch]
        good = [
            piece for piece, one in zip(batch, masks, strict=True) if not isinstance(one, Exception)
        ]
        if len(good) == len(batch):
            raise
    answers = iter(_composed(classifier, good, turn) if good else [])
    return [one if isinstance(one, Exception) else next(answers) for one in masks]


def _with(answer: Answer, effort: Effort) -> Answer:
    return answer if isinstance(answer, Exception) else answer._replace(effort=effort)


def _timed(batch: Sequence[Slice], answers: Sequence[Answer], seconds: float) -> list[Answer]:
    """Share the seconds out: fills to those whose they are, the rest by length."""
    efforts = [Effort() if isinstance(one, Exception) else one.effort for one in answers]
    shared = seconds - sum(effort.inpaint_seconds for effort in efforts)
    per_item = shared / sum(len(piece) for piece in batch)
    return [
        answer
        if isinstance(answer, Exception)
        else answer._replace(
            effort=effort._replace(seconds=effort.inpaint_seconds + per_item * len(piece))
        )
        for piece, answer, effort in zip(batch, answers, efforts, strict=True)
    ]


_NO_GRADIENTS = f"the method asks for gradients and this classifier has none; {BY_SCORES}"


def _answer(
    classifier: Classifier,
    gradients: Differentiable | None,
    pieces: Sequence[Slice],
    images: Images,
) -> list[Answer]:
    """Score images that belong to the slices in order."""
    query = pieces[0].query
    if gradients is None or not isinstance(query, ImageQuery) or not query.grad:
        return list(_cut(pieces, raw=classifier.scores(images)))
    targets = np.repeat([piece.case.target for piece in pieces], [len(piece) for piece in pieces])
    try:
        raw, grads = gradients.score_grads(images, targets, query.kind)
    except ScoreError as error:  # an image's own: the others are asked for again
        if len(pieces) == 1:
            return [ScoreError(f"{pieces[0].case.name}: {error}; {BY_SCORES}")]
        ends = np.cumsum([len(piece) for piece in pieces])[:-1]
        parts = zip(pieces, np.split(images, ends), strict=True)
        return [_answer(classifier, gradients, [piece], part)[0] for piece, part in parts]
    return list(_cut(pieces, raw=raw, grads=grads))


def _try(make: Callable[[Slice], T], piece: Slice) -> T | Exception:
    try:
        return make(piece)
    except Exception as error:
        return error


def _part(piece: Slice) -> Part:
    assert isinstance(piece.query, MaskQuery)
    assert piece.filling is not None
    return Part(piece.filling.planes, piece.query.masks, piece.start, piece.stop)


def _pictures(piece: Slice) -> tuple[Images, Effort]:
    """The images of a slice that came as images, or whose fill depends on the mask."""
    if isinstance(piece.query, ImageQuery):
        return piece.query.images[piece.start : piece.stop], Effort()
    assert isinstance(piece.query, MaskQuery)
    masks = _rendered(piece)
    holes = piece.query.holes
    fill, effort = _fill(
        piece, masks if holes is None else render_masks(holes, piece.start, piece.stop)
    )
    return piece.case.image + masks[..., None] * (fill - piece.case.image), effort  # eq. 1


def _filled(piece: Slice) -> Answered:
    """What stands in for what the masks of a slice remove."""
    assert isinstance(piece.query, FillQuery)
    fill, effort = _fill(piece, _rendered(piece))
    return Answered(images=fill, effort=effort)


def _rendered(piece: Slice) -> Mask:
    assert not isinstance(piece.query, ImageQuery)
    return render_masks(piece.query.masks, piece.start, piece.stop)


def _fill(piece: Slice, masks: Mask) -> tuple[Images, Effort]:
    assert piece.filling is not None
    picture = piece.filling.picture
    if not isinstance(picture, CachedFill):
        return np.broadcast_to(picture, (len(masks), *picture.shape)), Effort()
    painted = picture(masks)
    return painted.images, Effort(painted.made, painted.seconds)


def _cut(pieces: Sequence[Slice], *, raw: Scores, grads: Images | None = None) -> list[Answered]:
    """Give every slice its rows."""
    answers: list[Answered] = []
    row = 0
    for piece in pieces:
        rows = slice(row, row + len(piece))
        answers.append(Answered(raw[rows], None if grads is None else grads[rows]))
        row += len(piece)
    return answers
