"""The seam between a classifier and the place where its masks are composed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from onnxplain.core.data import Image, Images, Mask
from onnxplain.core.protocols import JoinedFill, Part
from onnxplain.runtime.tensors import Rows


class Composer(Protocol):
    """Brings images and masked images into the form that a model takes; thread-safe.

    A batch belongs to the thread that asked for it, and is valid until the same thread asks
    for the next one.
    """

    @property
    def composed_by(self) -> Literal["host", "graph"]:
        """Where masks are composed, as the record of a result names it."""
        ...

    def planes(self, image: Image, fill: Image) -> Any:
        """Bring an image and its fill into the model's space, once for many masks."""
        ...

    def join(self, image: Image, prepared: Callable[[Mask], Images]) -> JoinedFill | None:
        """Let a prepared fill paint where masks are composed; see `JoinsFills.join`."""
        ...

    def compose(self, parts: Sequence[Part], width: int) -> Rows:
        """Compose the images of all parts in order, as a batch of `width` rows.

        Parameters
        ----------
        parts : sequence of Part
            Masks, with what `planes` returned for their image and fill, or a joined fill painted.
        width : int
            Rows of the batch, at least the number of masks; the values of further rows are
            of no account.
        """
        ...

    def enter(self, images: Images, width: int) -> Rows:
        """Bring images (N, H, W, 3) into the form the model takes, as a batch of `width` rows."""
        ...


def count_masks(parts: Sequence[Part]) -> int:
    """Count the masks of all parts."""
    return sum(part.stop - part.start for part in parts)


def cut_parts(parts: Sequence[Part], start: int, stop: int) -> list[Part]:
    """Cut out the masks from `start` to `stop`, counted through all parts."""
    cut, first = [], 0
    for part in parts:
        n = part.stop - part.start
        low, high = max(start - first, 0), min(stop - first, n)
        if low < high:
            cut.append(part._replace(start=part.start + low, stop=part.start + high))
        first += n
    return cut
