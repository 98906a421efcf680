"""What is known of scores that are passed on, picked, pooled, bounded, or put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import NodeProto

from onnxplain.describe.score_tail.tail import PASSING, Reader, Tail, is_tiny
from onnxplain.describe.score_tail.values import DISTRIBUTION, LOGITS, TINY, TOP_VALUES, Values
from onnxplain.graph.nodes import read_attributes

POOLING = {"AveragePool", "GlobalAveragePool", "QLinearGlobalAveragePool", "ReduceMean"}
PICKING = {"Gather", "GatherElements", "Slice", "Split"}


def read_passing(tail: Tail, node: NodeProto) -> Values | None:
    """Read values that get another form."""
    return tail.read(node.input[0])


def read_pooling(tail: Tail, node: NodeProto) -> Values | None:
    """Read a mean over other axes than the classes', which keeps what it is given."""
    values = tail.read(node.input[0])
    # A mean of a distribution may be over the classes' axis.
    return values if values and values.kind in ("labels", "unit", "logits") else None


def read_picking(tail: Tail, node: NodeProto) -> Values | None:
    """Read the picking of some classes, or of all of them in another order."""
    values = tail.read(node.input[0])
    if values is None or values.kind != "distribution":
        return values
    # All classes may be picked more than once: their sum is not known.
    return replace(values, kind="unit")


def read_top(tail: Tail, node: NodeProto) -> Values | None:
    """Read the values of a TopK over the classes."""
    axis = read_attributes(node).get("axis", -1)
    over_classes = tail.has_classes_at(node.output[0], axis)
    return TOP_VALUES if over_classes and tail.classes != 1 else None


def read_clipping(tail: Tail, node: NodeProto) -> Values | None:
    """Read values that are kept within bounds, which probabilities hardly reach."""
    values = tail.read(node.input[0])
    if values is None or not values.are_probabilities:
        return None
    bounds = _read_bounds(tail, node)
    if bounds is None:
        return None
    low, high = bounds
    fits = (low is None or np.max(low) <= TINY) and (
        high is None or np.min(high) >= values.total * (1 - TINY)
    )
    return values if fits else None


def _read_bounds(tail: Tail, node: NodeProto) -> tuple[Any, Any] | None:
    """Return the bounds of a Clip, each None where there is none; None if one is computed."""
    attributes = read_attributes(node)
    bounds = [attributes.get("min"), attributes.get("max")]
    for place, name in enumerate(node.input[1:3]):
        if name:
            bounds[place] = tail.get_constant(name)
            if bounds[place] is None:
                return None
    return bounds[0], bounds[1]


def read_maximum(tail: Tail, node: NodeProto) -> Values | None:
    """Read probabilities that are kept from 0."""
    constants = {name: tail.get_constant(name) for name in node.input}
    rest = [name for name in node.input if constants[name] is None]
    given = [constant for constant in constants.values() if constant is not None]
    if len(rest) != 1 or not all(map(is_tiny, given)):
        return None
    values = tail.read(rest[0])
    return values if values and values.are_probabilities else None


def read_choice(tail: Tail, node: NodeProto) -> Values | None:
    """Read probabilities of which some, such as the smallest, become 0."""
    for name, other in (node.input[1:], reversed(node.input[1:])):
        constant = tail.get_constant(other)
        if constant is not None and is_tiny(constant):
            values = tail.read(name)
            if values is None or not values.are_probabilities:
                return None
            return values if values.kind == "labels" else replace(values, kind="unit")
    return None


def read_concatenation(tail: Tail, node: NodeProto) -> Values | None:
    """Read probabilities of several heads beside each other, such as 1 - p and p."""
    heads = [tail.read(name) for name in node.input]
    values = [value for value in heads if value is not None]
    if len(values) < len(heads):
        return None
    if all(value.are_logits for value in values):
        return LOGITS
    kinds = {value.kind for value in values}
    totals = {value.total for value in values}
    if not kinds <= {"labels", "unit"} or len(totals) > 1:
        return None
    if _are_complements(tail, node.input):
        return DISTRIBUTION
    return Values(kinds.pop() if len(kinds) == 1 else "unit", totals.pop())


def _are_complements(tail: Tail, names: Sequence[str]) -> bool:
    """Return whether two tensors of one number per image are p and 1 - p."""
    if len(names) != 2 or any(tail.shapes.count(name) != 1 for name in names):
        return False
    sources = [tail.trace_passing(name) for name in names]
    for name, other in (sources, reversed(sources)):
        node = tail.get_maker(name)
        is_complement = node is not None and node.op_type == "Sub" and tail.is_one(node.input[0])
        if node and is_complement and tail.trace_passing(node.input[1]) == other:
            return True
    return False


READERS: Mapping[str, Reader] = {
    **dict.fromkeys(PASSING, read_passing),
    **dict.fromkeys(POOLING, read_pooling),
    **dict.fromkeys(PICKING, read_picking),
    "TopK": read_top,
    "Clip": read_clipping,
    "Max": read_maximum,
    "Where": read_choice,
    "Concat": read_concatenation,
}
