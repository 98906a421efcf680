"""What the engine and its workers exchange: slices of queries, and the answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Case, Images, Scores
from onnxplain.core.flow import Query
from onnxplain.engine.fillings import Filling


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """The items from `start` to `stop` of a query about a case."""

    case: Case
    query: Query
    filling: Filling | None  # None for an ImageQuery
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Effort(NamedTuple):
    """The work that went into an answer.

    Parameters
    ----------
    inpaints : int
        Number of pictures that a fill made for masks.
    inpaint_seconds : float
        Time spent on these pictures.
    seconds : float
        Time spent in all. Workers run side by side, so this may exceed the time that passed.
    """

    inpaints: int = 0
    inpaint_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def inpaint_share(self) -> float:
        """Share of the time that was spent on these pictures; 0 if no time was spent at all."""
        return self.inpaint_seconds / self.seconds if self.seconds else 0.0

    def plus(self, other: Effort) -> Effort:
        """Return the sum of two efforts."""
        return Effort(
            self.inpaints + other.inpaints,
            self.inpaint_seconds + other.inpaint_seconds,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True, eq=False)
class SliceAnswer:
    """The answer to one slice: scores, gradients or images as its query asked, and the effort."""

    raw: Scores | None = None  # (n, K)
    grads: Images | None = None  # (n, H, W, 3)
    images: Images | None = None  # (n, H, W, 3)
    logits: Scores | None = None  # (n, K), if the score is one of the logits
    layers: tuple[NDArray[np.floating[Any]], ...] = ()  # (n, ...) of each layer
    facts: Mapping[str, Any] = field(default_factory=dict)
    effort: Effort = field(default_factory=Effort)


@dataclass(frozen=True, slots=True, eq=False)
class SliceFailure:
    """The error that one slice met. Others go on, as masks and fills may be plugins that fail."""

    error: Exception


SliceResult: TypeAlias = SliceAnswer | SliceFailure
