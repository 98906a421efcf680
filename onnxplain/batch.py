"""One batch: slices of the live flows' queries, rendered, composed and scored.

This is what a worker thread does. It knows nothing of flows, and reads shared values only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain.data import Case, Images, Mask, Scores
from onnxplain.errors import ModelError
from onnxplain.flow import ImageQuery, MaskQuery, Query
from onnxplain.protocols import Classifier, Differentiable, Part, Prepared


class Filling(NamedTuple):
    """A fill made for one image."""

    picture: Prepared
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


class Scored(NamedTuple):
    """What a slice got: raw scores (n, K), and gradients (n, H, W) where asked for."""

    raw: Scores
    grads: Mask | None = None


# A fill or an inpainter is a plugin: its failure is its slice's alone.
Answer = Scored | Exception


def sort(query: Query, filling: Filling | None) -> Hashable:
    """What slices must have in common to share a batch: the call that answers them."""
    if isinstance(query, MaskQuery) and query.grad:
        return query.kind
    return "composed" if filling is not None and filling.planes is not None else "pictures"


def score(
    classifier: Classifier, gradients: Differentiable | None, batch: Sequence[Slice]
) -> list[Answer]:
    """Answer slices of one sort, in order."""
    how = sort(batch[0].query, batch[0].filling)
    if how == "composed":
        return _cut(batch, classifier.masked_scores([_part(piece) for piece in batch]))
    if how == "pictures":
        return _each(
            batch,
            _picture,
            lambda pieces, made: _cut(pieces, classifier.scores(np.concatenate(made))),
        )
    if gradients is None:
        return [ModelError(_NO_GRADIENTS)] * len(batch)
    return _each(batch, _blend, lambda pieces, made: _differentiate(gradients, pieces, made))


_NO_GRADIENTS = (
    "the method asks for gradients and this classifier has none; choose a way that needs only "
    "scores (as gain=difference of MP2)"
)


def _part(piece: Slice) -> Part:
    assert isinstance(piece.query, MaskQuery)
    assert piece.filling is not None
    return Part(piece.filling.planes, piece.query.masks, piece.start, piece.stop)


def _each(
    batch: Sequence[Slice],
    make: Callable[[Slice], Any],
    answer: Callable[[list[Slice], list[Any]], list[Answer]],
) -> list[Answer]:
    """Make something of every slice, and answer together those where that went well."""
    answers: dict[int, Answer] = {}
    made = {}
    for i, piece in enumerate(batch):
        try:
            made[i] = make(piece)
        except Exception as error:
            answers[i] = error
    if made:
        pieces = [batch[i] for i in made]
        answers.update(zip(made, answer(pieces, list(made.values())), strict=True))
    return [answers[i] for i in range(len(batch))]


def _picture(piece: Slice) -> Images:
    """The images of a slice that came as images, or whose fill depends on the mask."""
    if isinstance(piece.query, ImageQuery):
        return piece.query.images[piece.start : piece.stop]
    images, _ = _blend(piece)
    return images


def _blend(piece: Slice) -> tuple[Images, Images]:
    """Composed images (n, H, W, 3), and their change with the mask, the fill less the image."""
    assert isinstance(piece.query, MaskQuery)
    assert piece.filling is not None
    masks = piece.query.masks.render(piece.start, piece.stop)
    picture = piece.filling.picture
    fill = (
        picture(masks)
        if callable(picture)
        else np.broadcast_to(picture, (len(masks), *picture.shape))
    )
    delta = fill - piece.case.image
    return piece.case.image + masks[..., None] * delta, delta  # eq. 1


def _differentiate(
    gradients: Differentiable,
    pieces: Sequence[Slice],
    blended: Sequence[tuple[Images, Images]],
) -> list[Answer]:
    """Scores, and their derivative by every pixel of the mask.

    A fill that depends on the mask counts as constant.
    """
    images = np.concatenate([images for images, _ in blended])
    deltas = np.concatenate([delta for _, delta in blended])
    targets = np.repeat([piece.case.target for piece in pieces], [len(piece) for piece in pieces])
    raw, by_image = gradients.score_grads(images, targets, pieces[0].query.kind)
    by_mask = np.einsum("nhwc,nhwc->nhw", by_image, deltas)
    return _cut(pieces, raw, by_mask)


def _cut(
    pieces: Sequence[Slice], raw: Scores, grads: NDArray[np.float32] | None = None
) -> list[Answer]:
    """Give every slice its rows."""
    ends = np.cumsum([len(piece) for piece in pieces])[:-1]
    rows = np.split(raw, ends)
    return [
        Scored(*both)
        for both in zip(
            rows, [None] * len(rows) if grads is None else np.split(grads, ends), strict=True
        )
    ]
