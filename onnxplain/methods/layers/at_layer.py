"""What methods that look at layers have in common: the layer, the score, and the record."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Layer, Meaning, ScoreKind
from onnxplain.core.flow import Closed, Flow, ImageQuery, Reply
from onnxplain.core.inside import Reduction, Tensors
from onnxplain.core.params import Param, Parametrised
from onnxplain.methods.layers.reduce import enlarge

log = logging.getLogger(__name__)

UNREAD = "no later layer reads this one's grid, or it has no values; try layer=last"
M = TypeVar("M", bound="AtLayer")
LAYER = "the layer: last, first, stage:2, or the name of a tensor or node"
SCORE = "the score that is explained; raw: the logit in front of the softmax or sigmoid"

MEANING = Meaning("how much the layer's values there speak for the class, without a unit")


@dataclass(frozen=True)
class AtLayer(Parametrised):
    """The parameters of methods that look at one layer with the gradient of a score.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`).
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated.
    found : tuple of Layer
        The layers of that name, which the classifier finds.
    """

    layer: Annotated[str, Param(LAYER)] = "last"
    score: Annotated[ScoreKind, Param(SCORE)] = "raw"
    found: tuple[Layer, ...] = field(default=(), repr=False, kw_only=True)

    @property
    def wants(self) -> Tensors:
        """What its queries ask about the inside."""
        return Tensors(self.found, score=self.score)

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
                f"{type(self).__name__} looks at one layer, and {self.layer!r} are {len(layers)}: "
                f"{listed}{', ...' if len(layers) > 5 else ''}; choose one of them"
            )
        return replace(self, found=layers)


def draw_map(method: AtLayer, case: Case, reduce: Reduction, *, relu: bool) -> Flow[Attribution]:
    """Ask for the layer of one image and its gradient, and make a map of them.

    Parameters
    ----------
    method : AtLayer
        What looks at the layer.
    case : Case
        Whose image is explained.
    reduce : callable
        Makes a map (N, h, w) of values and gradients.
    relu : bool
        Whether the heatmap shows only what is evidence for the target.
    """
    reply = yield ImageQuery(case.image[None], wants=method.wants, reduce=reduce)
    ((signed,),) = reply.layers
    return make_attribution(case, signed, describe_inside(method.wants, reply), relu=relu)


def draw_closed_form(method: Closed, case: Case) -> Flow[Attribution]:
    """Make the map of a method that looks at one layer once, as its closed form says."""
    assert isinstance(method, AtLayer)
    form = method.closed_form
    return (yield from draw_map(method, case, form.formula, relu=form.relu))


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
        "backwards": passes if wants.differentiates else 0,
        **reply.facts,
    }
    if wants.layers:
        details["layers"] = [_describe_layer(layer) for layer in wants.layers]
    return details


def make_attribution(
    case: Case, signed: NDArray[np.floating[Any]], details: Mapping[str, Any], *, relu: bool
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
    """
    shown = np.maximum(signed, 0) if relu else signed
    record = {**details, "empty": not shown.any()}
    if not signed.any():
        log.warning("%s: the map is zero everywhere: %s", case.name, UNREAD)
    coarse = signed.astype(np.float32)
    return Attribution(enlarge(shown, case.size), coarse, details=record, meaning=MEANING)


def _describe_layer(layer: Layer) -> dict[str, Any]:
    described = {"tensor": layer.tensor, "shape": list(layer.shape), "is_cut": layer.is_cut}
    return {**described, "note": layer.note} if layer.note else described
