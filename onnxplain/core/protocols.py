"""The protocols of classifiers, inpainters, fills and families of masks.

Any object with these members will do, whichever framework it comes from. The members are
read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Mask, Outputs, Preprocessing, ScoreKind, Scores, Size


class Masks(Protocol):
    """A family of masks, rendered one slice at a time so that they never all fill memory."""

    @property
    def size(self) -> Size:
        """Rows and columns of every mask."""
        ...

    def __len__(self) -> int: ...

    def render(self, start: int, stop: int) -> Mask:
        """Render the masks from `start` to `stop`, shape (stop - start, H, W); 1 removes."""
        ...


class Part(NamedTuple):
    """Some masks of one query, and the planes of their image and fill."""

    planes: Any  # from `Classifier.planes`, or of one picture from `JoinedFill.paint`
    masks: Masks
    start: int
    stop: int


class Differentiable(Protocol):
    """The gradients of a classifier; thread-safe, as the classifier is."""

    def score_grads(
        self, images: Images, targets: NDArray[np.int64], kind: ScoreKind
    ) -> tuple[Scores, Images]:
        """Return raw scores (N, K), and d score / d image (N, H, W, 3).

        What is differentiated is each image's score of its own target (N,), of the given kind.
        """
        ...


class Classifier(Protocol):
    """An image classifier; thread-safe, so that `workers` calls may run side by side."""

    @property
    def size(self) -> Size:
        """Rows and columns of the images that it takes."""
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
        """What the scores are: logits or probabilities, and whether of independent labels."""
        ...

    @property
    def batch_size(self) -> int:
        """Number of images that it runs at once; it splits calls with more."""
        ...

    @property
    def workers(self) -> int:
        """Number of calls that should run side by side."""
        ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result: model, sha256, provider, versions.

        The entry ``preprocessing``, if present, holds everything that decides the scores of a
        photo, and the source of each value.
        """
        ...

    def scores(self, images: Images) -> Scores:
        """Return the raw scores (N, K) of images (N, H, W, 3) in [0, 1]."""
        ...

    def planes(self, image: Image, fill: Image) -> Any:
        """Precompute, once for many masks, what composing `image` with `fill` needs."""
        ...

    def masked_scores(self, parts: Sequence[Part]) -> Scores:
        """Return raw scores of ``x * (1 - m) + f * m`` for every mask of the parts, in order."""
        ...

    def gradients(self) -> Differentiable:
        """Return its gradients; if it has none, raise a `ModelError` that says why."""
        ...


class JoinedFill(Protocol):
    """A fill that depends on the mask and paints where its classifier composes; thread-safe."""

    def paint(self, masks: Mask) -> Sequence[Any]:
        """Paint the picture of every mask (N, H, W); return each with its image, for a `Part`."""
        ...

    def fetch(self, painted: Sequence[Any]) -> Images:
        """Bring the pictures (N, H, W, 3) of what `paint` returned to the host."""
        ...


@runtime_checkable
class JoinsFills(Protocol):
    """A classifier that can let an inpainter paint on its own device."""

    def join(self, image: Image, prepared: Callable[[Mask], Images]) -> JoinedFill | None:
        """Return the fill, prepared for an image, as it paints there; None if it cannot."""
        ...


class Inpainter(Protocol):
    """A model that fills holes with what might have been there; thread-safe."""

    @property
    def batch_size(self) -> int:
        """Number of images that a call should hold."""
        ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result."""
        ...

    def inpaint(self, images: Images, masks: Mask) -> Images:
        """Fill the holes (N, H, W; 1 = hole) of images (N, H, W, 3); keep all other pixels."""
        ...


# A fill prepared for one image: one picture, if it is the same whichever pixels are removed;
# else a function that takes masks (N, H, W) and makes one picture per mask.
Prepared: TypeAlias = Image | Callable[[Mask], Images]


class Fill(Protocol):
    """What stands in for removed pixels (f of eq. 1)."""

    def prepare(self, image: Image, rng: np.random.Generator) -> Prepared:
        """Prepare the fill for one image (H, W, 3)."""
        ...
