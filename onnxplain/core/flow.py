"""The protocol between an algorithm and the engine: queries, replies and flows.

A method or a metric is a frozen dataclass with one generator. It asks by ``yield``, gets the
reply by ``send`` and returns its value; it knows no session, batch size, device or file.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Images, Layer, ScoreKind, Size, make_rng
from onnxplain.core.formulas import ClosedForm
from onnxplain.core.inside import Reduction, Tensors
from onnxplain.core.protocols import Fill, Masks

T = TypeVar("T")
NO_FILL = "none"  # the usual fill of methods that remove nothing


@dataclass(frozen=True, slots=True, eq=False)
class MaskQuery:
    """A query for the score of the target with each mask applied to the case's image.

    Parameters
    ----------
    masks : Masks
        What to remove; 1 removes.
    kind : {'probability', 'log-odds', 'logit', 'raw', 'contrast'}
        Which score of the target.
    fill : Fill, optional
        What stands in for removed pixels; the job's fill if not given.
    classes : bool
        Whether the reply should also hold the probabilities of every class.
    holes : Masks, optional
        One hole per mask, which contains the mask. A fill that depends on the mask is made
        for the hole instead, so masks in the same hole share one fill. If not given, the masks
        themselves are the holes.
    incremental : bool
        Whether a classifier that can may recompute only what each mask changes, if the masks
        are patches. The facts of the reply then say under ``incremental`` whether it did.
    """

    masks: Masks
    kind: ScoreKind = "probability"
    fill: Fill | None = None
    classes: bool = False
    holes: Masks | None = None
    incremental: bool = False

    def __len__(self) -> int:
        return len(self.masks)


@dataclass(frozen=True, slots=True, eq=False)
class ImageQuery:
    """A query for the score of the target on other images, such as crops of the case's image.

    Parameters
    ----------
    images : (N, H, W, 3) ndarray of float32
        RGB in [0, 1].
    kind, classes
        As in `MaskQuery`.
    grad : bool
        Whether the reply should also hold d score / d image.
    wants : Tensors, optional
        What the reply should tell about the inside of the classifier. It then also decides the
        score and whether the reply holds d score / d image, and `kind` and `grad` are ignored.
    reduce : callable, or tuple of one per layer, optional
        Makes something smaller of the values and gradients of each layer as soon as a batch has
        run, so that those of many images need not be held: ``reduce(A, G)`` of (n, C, h, w)
        returns (n, ...).
    """

    images: Images
    kind: ScoreKind = "probability"
    classes: bool = False
    grad: bool = False
    wants: Tensors | None = None
    reduce: Reduction | tuple[Reduction, ...] | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True, eq=False)
class TailQuery:
    """A query for the score of the target if a layer had other values.

    Only what is behind the layer runs, so a query costs little at late layers.

    Parameters
    ----------
    layer : Layer
        A cut: one through which alone the scores depend on the image.
    n : int
        Number of versions of the layer.
    make : callable
        ``make(start, stop)`` returns the versions from `start` to `stop`, float32 of shape
        (stop - start, C, h, w), so that they never all fill memory.
    kind, classes
        As in `MaskQuery`.
    """

    layer: Layer
    n: int
    make: Callable[[int, int], NDArray[np.float32]]
    kind: ScoreKind = "raw"
    classes: bool = False

    def __len__(self) -> int:
        return self.n


@dataclass(frozen=True, slots=True, eq=False)
class FillQuery:
    """A query for the fill of the pixels that each mask removes from the case's image.

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


Query: TypeAlias = MaskQuery | ImageQuery | TailQuery | FillQuery


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """The answer to a query of N items, in the query's order.

    Parameters
    ----------
    scores : (N,) ndarray of float64
        Scores of the target; not set for a `FillQuery`.
    classes : (N, K) ndarray of float32, optional
        Probabilities of every class, if the query asked for them.
    grads : (N, H, W, 3) ndarray of float32, optional
        d score / d image, if the query asked for it.
    images : (N, H, W, 3) ndarray of float32, optional
        The fills that a `FillQuery` asked for.
    layers : tuple of ndarray
        For each layer that the query wants, what its reduction made (N, ...). Without a
        reduction: values and gradients (N, 2, C, h, w), or values alone (N, 1, C, h, w).
    facts : mapping
        What the record of a result should say about the inside of the classifier.
    """

    scores: NDArray[np.float64]
    classes: NDArray[np.float32] | None = None
    grads: Images | None = None
    images: Images | None = None
    layers: tuple[NDArray[np.floating[Any]], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


Flow: TypeAlias = Generator[Query, Reply, T]


class Method(Protocol):
    """An explanation method: frozen hyperparameters and one flow.

    A method is `adaptive` if its queries depend on the replies it gets. A method that is not
    adaptive yields the same queries for every target of an image, so the targets share their
    evaluations. Gradients are of one target, so methods that use them are adaptive.
    """

    name: ClassVar[str]
    # The name, in the registry, of the fill that its paper uses; `NO_FILL` if it removes nothing.
    usual_fill: ClassVar[str]

    @property
    def adaptive(self) -> bool:
        """Whether its queries depend on the replies it gets."""
        ...

    def evaluations(self, size: Size) -> int:
        """Return the number of images scored for a case of this size; the most, if adaptive."""
        ...

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        ...


@runtime_checkable
class ByGradient(Protocol):
    """A method that can use gradients, but can also work without them."""

    without_gradients: ClassVar[str]  # the parameter that avoids them, such as "estimator=spsa"

    @property
    def wants_gradients(self) -> bool:
        """Whether it uses gradients if the classifier has them."""
        ...

    @property
    def needs_gradients(self) -> bool:
        """Whether its parameters demand gradients, so that it fails without them."""
        ...

    def settled(self, *, gradients: bool) -> Method:
        """Return the method with the use of gradients decided, if its parameters left it open."""
        ...


@runtime_checkable
class WhiteBox(Protocol):
    """A method that looks into the classifier: at gradients or at inner tensors."""

    @property
    def wants(self) -> Tensors:
        """What its queries ask about the inside, so that it is known before the first one."""
        ...


@runtime_checkable
class Closed(Protocol):
    """A white-box method whose map is a formula, so that it can be written as a graph."""

    @property
    def closed_form(self) -> ClosedForm:
        """How its map is made of one look."""
        ...


@runtime_checkable
class NotClosed(Protocol):
    """A white-box method whose map is no such formula."""

    @property
    def no_formula(self) -> str:
        """Why, as an export says it: ``it draws at random``."""
        ...


@runtime_checkable
class ByLayer(Protocol):
    """A method that looks at layers, which the classifier finds by name."""

    @property
    def layer(self) -> str:
        """The name of the layer or layers, such as ``last``; empty if it looks at none."""
        ...

    def at(self, layers: tuple[Layer, ...]) -> Method:
        """Return the method with its layers found."""
        ...


@runtime_checkable
class BySize(Protocol):
    """A method with a default that is made for 224 pixels and too large for small images."""

    def fitted(self, size: Size) -> Method:
        """Return the same method, with such a default made smaller where it does not fit."""
        ...


def start_flow(method: Method, case: Case, seed: int) -> Flow[Attribution]:
    """Start a method's flow over one case; draws depend on the seed and the names of both."""
    return method.flow(case, make_rng(seed, case.name, method.name))


def advise_scores_alone(*methods: Method) -> str:
    """Return advice on running methods without gradients; empty if none of them uses any."""
    choices = {
        f"{method.name} with {method.without_gradients}"
        for method in methods
        if isinstance(method, ByGradient)
    }
    return f"explain it with scores alone: {', '.join(sorted(choices))}" if choices else ""
