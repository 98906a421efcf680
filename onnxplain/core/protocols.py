"""The seams: what a classifier, an inpainter, a fill and a family of masks can do.

Whatever has these members fits, whichever framework it came from. They are read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Mask, Outputs, Preprocessing, ScoreKind, Scores, Size


class Masks(Protocol):
    """A family of masks, rendered a slice at a time and never held whole."""

    @property
    def size(self) -> Size:
        """Rows and columns of every mask."""
        ...

    def __len__(self) -> int: ...

    def render(self, start: int, stop: int) -> Mask:
        """The masks `start` to `stop`, shape (stop - start, H, W); 1 removes."""
        ...


class Part(NamedTuple):
    """Some masks of one query, with the planes of the image and fill they belong to."""

    planes: Any  # what `Classifier.planes` made
    masks: Masks
    start: int
    stop: int


class Differentiable(Protocol):
    """The gradients of a classifier; thread-safe like it."""

    def score_grads(
        self, images: Images, targets: NDArray[np.int64], kind: ScoreKind
    ) -> tuple[Scores, Images]:
        """Raw scores (N, K), and d score / d image (N, H, W, 3).

        The score is that of each image's target (N,), of the kind asked for.
        """
        ...


class Classifier(Protocol):
    """Scores images; thread-safe, so that `workers` calls may run side by side."""

    @property
    def size(self) -> Size:
        """Rows and columns of the images it takes."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """How a photo is brought to that size."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for every class, in the order of the scores."""
        ...

    @property
    def outputs(self) -> Outputs:
        """What the scores are: logits or probabilities."""
        ...

    @property
    def batch_size(self) -> int:
        """Images it runs at once; where a call brings more it splits them."""
        ...

    @property
    def workers(self) -> int:
        """Calls that should run side by side."""
        ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result: model, sha256, provider, versions.

        Where it has the entry ``preprocessing``, that holds all that decides the scores of a
        photo, and where each value came from.
        """
        ...

    def scores(self, images: Images) -> Scores:
        """Raw scores (N, K) of images (N, H, W, 3) in [0, 1]."""
        ...

    def planes(self, image: Image, fill: Image) -> Any:
        """What composing `image` with `fill` needs, made once for many masks."""
        ...

    def masked_scores(self, parts: Sequence[Part]) -> Scores:
        """Raw scores of ``x * (1 - m) + f * m`` for every mask of the parts, in order."""
        ...

    def gradients(self) -> Differentiable:
        """Its gradients; a `ModelError` that says why where it has none."""
        ...


class Inpainter(Protocol):
    """Fills holes with what might have been there; thread-safe."""

    @property
    def batch_size(self) -> int:
        """Images a call should hold."""
        ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result."""
        ...

    def inpaint(self, images: Images, masks: Mask) -> Images:
        """Images (N, H, W, 3) with the holes (N, H, W; 1 = hole) filled, the rest as it was."""
        ...


# What a fill becomes for one image: a picture, where what stands in for removed pixels does
# not depend on which are removed; else the picture for each of some masks (N, H, W).
Prepared: TypeAlias = Image | Callable[[Mask], Images]


class Fill(Protocol):
    """What stands in for removed pixels (f of eq. 1)."""

    def prepare(self, image: Image, rng: np.random.Generator) -> Prepared:
        """Make the fill for one image (H, W, 3)."""
        ...
