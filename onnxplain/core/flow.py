"""What an algorithm and the engine say to each other: it asks, it is told, it returns.

A method or a metric is a frozen dataclass with one generator. It asks by ``yield``, is
told by ``send`` and returns its value; it knows no session, batch size, device or file.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Images, ScoreKind, Size, make_rng
from onnxplain.core.protocols import Fill, Masks

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class MaskQuery:
    """Asks for the target's score of the case's image under each mask.

    Parameters
    ----------
    masks : Masks
        What to remove; 1 removes.
    kind : {'probability', 'log-odds', 'logit'}
        Which score.
    fill : Fill, optional
        What stands in for removed pixels; the job's fill if not given.
    classes : bool
        Whether the probabilities of every class are wanted too.
    holes : Masks, optional
        One a mask, which it lies in: what the fill is made for, if that depends on the mask.
        Masks that lie in the same holes share one fill. The masks themselves if not given.
    """

    masks: Masks
    kind: ScoreKind = "probability"
    fill: Fill | None = None
    classes: bool = False
    holes: Masks | None = None

    def __len__(self) -> int:
        return len(self.masks)


@dataclass(frozen=True, slots=True, eq=False)
class ImageQuery:
    """Asks for the target's score of other images, as crops of the case's image.

    Parameters
    ----------
    images : (N, H, W, 3) ndarray of float32
        RGB in [0, 1].
    kind, classes
        As in `MaskQuery`.
    grad : bool
        Whether d score / d image is wanted too.
    """

    images: Images
    kind: ScoreKind = "probability"
    classes: bool = False
    grad: bool = False

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True, eq=False)
class FillQuery:
    """Asks what stands in for the removed pixels of the case's image under each mask.

    Parameters
    ----------
    masks : Masks
        What is removed; 1 removes.
    fill : Fill, optional
        The job's fill if not given.
    """

    masks: Masks
    fill: Fill | None = None

    def __len__(self) -> int:
        return len(self.masks)


Query: TypeAlias = MaskQuery | ImageQuery | FillQuery


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """The answer to a query of N items, in its order.

    Parameters
    ----------
    scores : (N,) ndarray of float64
        Empty for a `FillQuery`.
    classes : (N, K) ndarray of float32, optional
        Probabilities of every class, where the query wanted them.
    grads : (N, H, W, 3) ndarray of float32, optional
        d score / d image, where the query wanted it.
    images : (N, H, W, 3) ndarray of float32, optional
        What a `FillQuery` asked for.
    """

    scores: NDArray[np.float64]
    classes: NDArray[np.float32] | None = None
    grads: Images | None = None
    images: Images | None = None


Flow: TypeAlias = Generator[Query, Reply, T]


class Method(Protocol):
    """An explanation method: frozen hyperparameters and one flow.

    `adaptive` tells whether what it asks depends on what it was told. A method that is not
    adaptive asks the same of an image whatever the target, so several targets share the
    evaluations of one.
    """

    name: ClassVar[str]
    adaptive: ClassVar[bool]
    usual_fill: ClassVar[str]  # its paper's, by the name of the registry

    def evaluations(self, size: Size) -> int:
        """Images that will be scored for one case of that size (at most, if adaptive)."""
        ...

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        ...


def start_flow(method: Method, case: Case, seed: int) -> Flow[Attribution]:
    """A method's flow over one case; what it draws depends on the seed and their names."""
    return method.flow(case, make_rng(seed, case.name, method.name))


@runtime_checkable
class ByGradient(Protocol):
    """A method that can ask for gradients, and can do without."""

    @property
    def wants_gradients(self) -> bool:
        """Whether it would ask for them."""
        ...

    @property
    def needs_gradients(self) -> bool:
        """Whether it was told to, and so cannot do without."""
        ...

    def settled(self, *, gradients: bool) -> Method:
        """The same method, decided to use them or not where that was left open."""
        ...
