"""One batch: slices of the live flows' queries, rendered, composed and scored.

This is what a worker thread does. It knows nothing of flows, and reads shared values only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from onnxplain.data import Case, Images, Mask, Scores
from onnxplain.errors import ModelError
from onnxplain.flow import FillQuery, ImageQuery, MaskQuery, Query
from onnxplain.protocols import Classifier, Differentiable, Part, Prepared

T = TypeVar("T")


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


class Answered(NamedTuple):
    """What a slice got: of the three, those that its query asks for."""

    raw: Scores | None = None  # (n, K)
    grads: Images | None = None  # (n, H, W, 3)
    images: Images | None = None  # (n, H, W, 3)


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
    classifier: Classifier, gradients: Differentiable | None, batch: Sequence[Slice]
) -> list[Answer]:
    """Answer slices of one sort, in order."""
    how = sort(batch[0].query, batch[0].filling)
    if how == "composed":
        return _cut(batch, raw=classifier.masked_scores([_part(piece) for piece in batch]))
    if how == "fills":
        return [_try(lambda piece: Answered(images=_fill(piece)[1]), piece) for piece in batch]
    if how != "pictures" and gradients is None:
        return [ModelError(_NO_GRADIENTS)] * len(batch)
    made = [_try(_pictures, piece) for piece in batch]
    pieces = [
        piece for piece, one in zip(batch, made, strict=True) if not isinstance(one, Exception)
    ]
    images = [one for one in made if not isinstance(one, Exception)]
    if not images:
        return [one for one in made if isinstance(one, Exception)]
    answers = iter(_answer(classifier, gradients, pieces, np.concatenate(images)))
    return [one if isinstance(one, Exception) else next(answers) for one in made]


_NO_GRADIENTS = (
    "the method asks for gradients and this classifier has none; choose a way that needs only "
    "scores (as gain=difference of MP2)"
)


def _answer(
    classifier: Classifier,
    gradients: Differentiable | None,
    pieces: Sequence[Slice],
    images: Images,
) -> list[Answer]:
    """Score images that belong to the slices in order."""
    query = pieces[0].query
    if gradients is None or not isinstance(query, ImageQuery) or not query.grad:
        return _cut(pieces, raw=classifier.scores(images))
    targets = np.repeat([piece.case.target for piece in pieces], [len(piece) for piece in pieces])
    raw, grads = gradients.score_grads(images, targets, query.kind)
    return _cut(pieces, raw=raw, grads=grads)


def _try(make: Callable[[Slice], T], piece: Slice) -> T | Exception:
    try:
        return make(piece)
    except Exception as error:
        return error


def _part(piece: Slice) -> Part:
    assert isinstance(piece.query, MaskQuery)
    assert piece.filling is not None
    return Part(piece.filling.planes, piece.query.masks, piece.start, piece.stop)


def _pictures(piece: Slice) -> Images:
    """The images of a slice that came as images, or whose fill depends on the mask."""
    if isinstance(piece.query, ImageQuery):
        return piece.query.images[piece.start : piece.stop]
    masks, fill = _fill(piece)
    return piece.case.image + masks[..., None] * (fill - piece.case.image)  # eq. 1


def _fill(piece: Slice) -> tuple[Mask, Images]:
    """The masks of a slice, and what stands in for what they remove."""
    assert not isinstance(piece.query, ImageQuery)
    assert piece.filling is not None
    masks = piece.query.masks.render(piece.start, piece.stop)
    picture = piece.filling.picture
    if callable(picture):
        return masks, picture(masks)
    return masks, np.broadcast_to(picture, (len(masks), *picture.shape))


def _cut(pieces: Sequence[Slice], *, raw: Scores, grads: Images | None = None) -> list[Answer]:
    """Give every slice its rows."""
    answers: list[Answer] = []
    row = 0
    for piece in pieces:
        rows = slice(row, row + len(piece))
        answers.append(Answered(raw[rows], None if grads is None else grads[rows]))
        row += len(piece)
    return answers
