"""Masks as codes: the few numbers from which a graph on the device renders them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from onnxplain.core.protocols import Masks

CodeFamily: TypeAlias = Literal["patch", "grid", "segments", "cells", "bits", "rank", "pixels"]


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Some masks of a family, as inputs of the graph that renders them.

    Parameters
    ----------
    family : str
        The graph that renders them (`onnxplain.graph.mask_graphs`).
    per_evaluation : mapping
        Inputs with one row per mask.
    statics : callable
        Computes the inputs that all masks of one `Masks` value share. Code that keeps these on
        a device calls it once per value, not once per slice.
    """

    family: CodeFamily
    per_evaluation: Mapping[str, NDArray[Any]]
    statics: Callable[[], Mapping[str, NDArray[Any]]]


@runtime_checkable
class CodedMasks(Masks, Protocol):
    """Masks that can be sent to a device as codes."""

    def codes(self, start: int, stop: int) -> Codes:
        """Encode the masks from `start` to `stop`."""
        ...


def encode_masks(masks: Masks, start: int, stop: int) -> Codes | None:
    """Encode the masks from `start` to `stop`; return None if their family has no codes."""
    return masks.codes(start, stop) if isinstance(masks, CodedMasks) else None
