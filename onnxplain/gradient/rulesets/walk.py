"""What a rule table makes: another backward walk."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from onnx import GraphProto

from onnxplain.gradient.cuts import Region
from onnxplain.gradient.facts import Array
from onnxplain.gradient.tape import Rule

Rules: TypeAlias = Mapping[str, Rule]


@dataclass(frozen=True, eq=False)
class Ground:
    """What a rule table sees.

    Parameters
    ----------
    rules : mapping of Rule
        The gradient's own.
    region : Region
        The graph between the image and the score, after folding, so that an activation can be
        told from a gate.
    graph : GraphProto
        The whole graph, with its weights.
    bounds : tuple of ndarray, optional
        A black and a white image, (1, ...), as they enter the model.
    """

    rules: Rules
    region: Region
    graph: GraphProto
    bounds: tuple[Array, Array] | None = None


@dataclass(frozen=True, eq=False)
class Walk:
    """How to go backwards.

    Parameters
    ----------
    rules : mapping of Rule
        By operator.
    notes : mapping
        For the record of a result, as values that JSON can hold.
    stops : set of str
        Tensors through which nothing flows.
    """

    rules: Rules
    notes: Mapping[str, Any] = field(default_factory=dict)
    stops: AbstractSet[str] = frozenset()
