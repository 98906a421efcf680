"""What methods that look at layers have in common: the layer, the score, and the record."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Layer, Meaning, ScoreKind, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery, Reply
from onnxplain.core.inside import Reduction, Tensors
from onnxplain.core.params import Param, Parametrised
from onnxplain.methods.layers.reduce import enlarge

log = logging.getLogger(__name__)

UNREAD = (
    "the map is zero everywhere: no later layer reads this one's grid, or it has no values; "
    "try layer=last"
)
AGAINST = (
    "the map is empty: nothing in the layer speaks for the class; the signed map is kept beside it"
)
M = TypeVar("M", bound="OnLayer")
LAYER = "the layer: last, first, stage:2, or the name of a tensor or node"
SCORE = "the score that is explained; raw: the logit in front of the softmax or sigmoid"

MEANING = Meaning("how much the layer's values there speak for the class, without a unit")


@dataclass(frozen=True)
class OnLayer(Parametrised):
    """The parameters of methods that look at one layer.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`).
    found : tuple of Layer
        The layers of that name, which the classifier finds.
    """

    name: ClassVar[str]

    layer: Annotated[str, Param(LAYER)] = "last"
    found: tuple[Layer, ...] = field(default=(), repr=False, kw_only=True)

    def at(self: M, layers: tuple[Layer, ...]) -> M:
        """Return the method with its layer found.

        Raises
        ------
        ValueError
            If the name chooses several layers.
        """
        if len(layers) != 1:
            listed = ", ".join(layer.tensor for layer in layers[:5])
            raise ValueError(
                f"{self.name} looks at one layer, and {self.layer!r} are {len(layers)}: "
                f"{listed}{', ...' if len(layers) > 5 else ''}; choose one of them"
            )
        return replace(self, found=layers)


@dataclass(frozen=True)
class AtLayer(OnLayer):
    """The parameters of methods that look at one layer, once, with the gradient of a score.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`).
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated.
    found : tuple of Layer
        The layers of that name, which the classifier finds.
    """

    adaptive: ClassVar[bool] = True  # the gradients are of one target
    usual_fill: ClassVar[str] = NO_FILL

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its queries ask about the inside."""
        return Tensors(self.found, score=self.score)

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1


@dataclass(frozen=True)
class ByChannel(OnLayer):
    """The parameters of methods that weigh each channel of a layer by scores, without gradients.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`).
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that weighs the channels.
    found : tuple of Layer
        The layer of that name, which the classifier finds.
    """

    adaptive: ClassVar[bool] = False

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its first query asks about the inside: values alone."""
        return Tensors(self.found, gradients=False, score=self.score)

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: the photo, and one per channel once the layer is known."""
        return 1 + sum(layer.channels for layer in self.found)


def draw_map(wants: Tensors, case: Case, reduce: Reduction, *, relu: bool) -> Flow[Attribution]:
    """Ask for the layer of one image and its gradient, and make a map of them.

    Parameters
    ----------
    wants : Tensors
        The layer and the score.
    case : Case
        Whose image is explained.
    reduce : callable
        Makes a map (N, h, w) of values and gradients.
    relu : bool
        Whether the heatmap shows only what is evidence for the target.
    """
    reply = yield ImageQuery(case.image[None], wants=wants, reduce=reduce)
    ((signed,),) = reply.layers
    return make_attribution(case, signed, describe_inside(wants, reply), relu=relu)


def describe_inside(wants: Tensors, reply: Reply, *, passes: int = 1) -> dict[str, Any]:
    """Describe for the record what was looked at, and how often the model ran.

    Parameters
    ----------
    wants : Tensors
        What the queries asked.
    reply : Reply
        To the last of them.
    passes : int
        Number of images that ran forwards, and backwards if gradients were wanted.
    """
    details: dict[str, Any] = {
        "score": wants.score,
        "rules": wants.rules.name if wants.rules else None,
        "forwards": passes,
        "backwards": passes * (wants.differentiates + wants.slopes),
        **reply.facts,
    }
    if wants.layers:
        details["layers"] = [_describe_layer(layer) for layer in wants.layers]
    return details


def make_attribution(
    case: Case,
    signed: NDArray[np.floating[Any]],
    details: Mapping[str, Any],
    *,
    relu: bool,
    meaning: Meaning = MEANING,
) -> Attribution:
    """Enlarge the map of a layer to the image.

    Parameters
    ----------
    case : Case
        Whose image is explained.
    signed : (h, w) ndarray
        The map, which is kept in the result as it is.
    details : mapping
        The record; it gets ``empty``, whether the heatmap is zero everywhere.
    relu : bool
        Whether the heatmap shows only what is evidence for the target.
    meaning : Meaning
        What the numbers are.
    """
    shown = np.maximum(signed, 0) if relu else signed
    record = {**details, "empty": not shown.any()}
    if record["empty"]:
        log.warning("%s: %s", case.name, AGAINST if signed.any() else UNREAD)
    coarse = signed.astype(np.float32)
    return Attribution(enlarge(shown, case.size), coarse, details=record, meaning=meaning)


def _describe_layer(layer: Layer) -> dict[str, Any]:
    described = {"tensor": layer.tensor, "shape": list(layer.shape), "is_cut": layer.is_cut}
    return {**described, "note": layer.note} if layer.note else described
