"""What white-box methods ask about the inside of a classifier, and what they get."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Images, Layer, ScoreKind, Scores
from onnxplain.core.protocols import Part

BIASES = "biases"  # the name of all layers with a bias, in front of which stands the image
ATTENTION = "attention"  # the name of the attention weights of all layers of a transformer
Array: TypeAlias = NDArray[np.float32]
# Makes something smaller of a layer's values and gradients (N, C, h, w): an array (N, ...).
# The gradients are None if the query asks for none.
Reduction: TypeAlias = Callable[[Array, Array | None], NDArray[np.floating[Any]]]


@dataclass(frozen=True, slots=True)
class RuleTable:
    """Rules of another backward walk, by name, such as ``guided``.

    Parameters
    ----------
    name : str
        A name in `onnxplain.gradient.rulesets`.
    options : tuple of (str, value)
        What the table takes, such as ``(("extended", True),)``.
    yields : {'gradient', 'relevance', 'signal'}
        What the walk makes at the image: something per unit of a pixel, as a gradient; something
        that belongs to it, whatever its unit; or something in its own unit. The three change
        differently where pixels are scaled before they enter the model.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    yields: Literal["gradient", "relevance", "signal"] = "gradient"


@dataclass(frozen=True, slots=True)
class Tensors:
    """What a query wants to know about the inside of a classifier.

    Queries with equal wishes share a graph and batches, whichever methods ask them.

    Parameters
    ----------
    layers : tuple of Layer
        The layers whose values are wanted.
    gradients : bool
        Whether the gradients of the score by these layers are wanted too.
    image : bool
        Whether the gradient of the score by the image is wanted.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target.
    rules : RuleTable, optional
        Rules that replace the gradient's own.
    slopes : bool
        Whether the ordinary gradients by the layers are wanted beside what `rules` make of them:
        all layers then come a second time, with their values and these.
    rate : float
        If it is not 0, every weight takes a step of training with this rate first, on the image
        that is looked at and its target.
    """

    layers: tuple[Layer, ...] = ()
    gradients: bool = True
    image: bool = False
    score: ScoreKind = "raw"
    rules: RuleTable | None = None
    slopes: bool = False
    rate: float = 0.0

    @property
    def looks(self) -> tuple[Layer, ...]:
        """The layers of the answer: once, or once for each of two walks."""
        return self.layers * (1 + self.slopes)

    @property
    def differentiates(self) -> bool:
        """Whether any gradient is wanted."""
        return self.image or (self.gradients and bool(self.layers)) or self.rate != 0

    @property
    def avoids_gradients(self) -> bool:
        """Whether no gradient is wanted, also once its layers are found."""
        return not (self.image or self.gradients or self.rate)

    @property
    def is_plain_gradient(self) -> bool:
        """Whether the ordinary gradient by the image is all that is wanted."""
        return self.image and not self.layers and self.rules is None and not self.rate


@dataclass(frozen=True, slots=True, eq=False)
class Inside:
    """The inside of a classifier for N images.

    Parameters
    ----------
    scores : (N, K) ndarray of float32
        As the model gives them.
    logits : (N, K) ndarray of float32, optional
        In front of the final softmax or sigmoid, if the score is one of the logits.
    grads : (N, H, W, 3) ndarray of float32, optional
        d score / d image.
    layers : tuple of (values, gradients)
        Of each of ``wants.looks``, (N, C, h, w); the gradients are None if they are not wanted.
    facts : mapping
        What the record of a result should say, such as the activations that a rule table met.
    """

    scores: Scores
    logits: Scores | None = None
    grads: Images | None = None
    layers: tuple[tuple[Array, Array | None], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Incremental(Protocol):
    """A classifier that can score patches by recomputing only what they change."""

    def changed_scores(self, parts: Sequence[Part]) -> Inside:
        """Return what `Classifier.masked_scores` does, and in the facts how it was computed.

        The masks of the parts are patches of one size.
        """
        ...


@runtime_checkable
class Layered(Protocol):
    """A classifier whose inside can be seen."""

    def find_layers(self, name: str) -> tuple[Layer, ...]:
        """Return the layers that a name chooses, such as ``last`` or ``stage:2``.

        Raises
        ------
        ModelError
            If there is no such layer.
        """
        ...

    def look_inside(self, images: Images, targets: NDArray[np.int64], wants: Tensors) -> Inside:
        """Return what is wanted about each image and its own target (N,)."""
        ...

    def run_tail(self, layer: Layer, values: Array, score: ScoreKind) -> Inside:
        """Return the scores, and the logits if `score` is one of them, of values of a layer.

        Raises
        ------
        ModelError
            If the scores depend on more than the values (N, C, h, w) of this layer.
        """
        ...

    def prepare_inside(self, wants: Tensors) -> None:
        """Make ready for `look_inside`; raise a `ModelError` if the model has no such inside."""
        ...
