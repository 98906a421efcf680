"""Operators that pick or add places along axes: Slice, Gather, Pad and the like."""

# ruff: noqa: D103 (a rule is described by the operator it is named after)

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxplain.gradient.facts import Array
from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule


def place(tape: Tape, g: str, positions: Sequence[int], size: int, axis: int, rank: int) -> str:
    """Put entries at distinct positions of an axis of length `size`, and 0 elsewhere.

    One row of zeros is appended; every position takes its own entry or that row.
    """
    sources = np.full(size, len(positions))
    sources[list(positions)] = np.arange(len(positions))
    after = [0] * rank
    after[axis] = 1
    return tape.op("Gather", tape.pad(g, [0] * rank, after), tape.ints(sources), axis=axis)


@first_output_rule
def slice_(tape: Tape, node: Node, g: str) -> Grads:
    rank = len(tape.shape(node.x))
    starts, stops = (tape.integers(node.inputs[k], "bounds") for k in (1, 2))
    axes = tape.integers(node.input(3), "axes") if node.input(3) else list(range(len(starts)))
    steps = tape.integers(node.input(4), "steps") if node.input(4) else [1] * len(starts)
    before, after = [0] * rank, [0] * rank
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        axis %= rank
        if _keeps_growing_axis(tape, node, axis, start, step):
            continue
        (size,) = tape.sizes(node.x, [axis])
        end = None if step < 0 and stop < -size else stop
        taken = range(size)[slice(start, end, step)]
        if step == 1:
            before[axis], after[axis] = taken.start, size - taken.stop
        else:
            g = place(tape, g, taken, size, axis, rank)
    return [tape.pad(g, before, after)]


def _keeps_growing_axis(tape: Tape, node: Node, axis: int, start: int, step: int) -> bool:
    """Return whether a slice keeps all of an axis that grows with the batch."""
    grows = tape.shape(node.y)[axis] is None and tape.shape(node.x)[axis] is None
    return grows and start == 0 and step == 1


@first_output_rule
def gather(tape: Tape, node: Node, g: str) -> Grads:
    rank = len(tape.shape(node.x))
    axis = node.attributes.get("axis", 0) % rank
    index = tape.constant(node.inputs[1])
    if index is None:
        return [_scatter(tape, node, g, axis), None]
    (size,) = tape.sizes(node.x, [axis])
    positions = [int(position) % size for position in index.ravel()]
    if index.ndim == 0:
        g = tape.unsqueeze(g, [axis])
    elif index.ndim > 1:
        shape = list(tape.shape(node.x))
        shape[axis] = len(positions)
        g = tape.reshape(g, shape)
    if len(positions) == 1:
        before, after = [0] * rank, [0] * rank
        before[axis], after[axis] = positions[0], size - 1 - positions[0]
        return [tape.pad(g, before, after), None]
    if len(set(positions)) == len(positions):
        return [place(tape, g, positions, size, axis, rank), None]
    picks = tape.real(np.eye(size)[positions])
    return [tape.contract(g, picks, axis, rank), None]


def _scatter(tape: Tape, node: Node, g: str, axis: int) -> str:
    """Add up entries at positions that, like the axis's length, are known only at run time."""
    rank, index_rank = len(tape.shape(node.x)), len(tape.shape(node.inputs[1]))
    order = [axis, *(other for other in range(rank) if other != axis)]
    behind = axis + index_rank
    to_front = [*range(axis, behind), *range(axis), *range(behind, rank - 1 + index_rank)]
    zeros = tape.transpose(tape.zeros_like(node.x), order)
    # Negative positions count from the end: (i + L) mod L.
    size = tape.op("Gather", tape.op("Shape", node.x), tape.ints(axis))
    index = tape.op("Mod", tape.op("Add", tape.op("Cast", node.inputs[1], to=7), size), size)
    total = tape.op(
        "ScatterND",
        zeros,
        tape.unsqueeze(index, [-1]),
        tape.transpose(g, to_front),
        reduction="add",
    )
    return tape.transpose(total, [order.index(original) for original in range(rank)])


@first_output_rule
def gather_elements(tape: Tape, node: Node, g: str) -> Grads:
    axis = node.attributes.get("axis", 0)
    zeros = tape.zeros_like(node.x)
    index = node.inputs[1]
    return [tape.op("ScatterElements", zeros, index, g, axis=axis, reduction="add"), None]


@first_output_rule
def gather_nd(tape: Tape, node: Node, g: str) -> Grads:
    if node.attributes.get("batch_dims", 0):
        raise Refusal("it has batch_dims")
    zeros = tape.zeros_like(node.x)
    return [tape.op("ScatterND", zeros, node.inputs[1], g, reduction="add"), None]


@first_output_rule
def scatter_nd(tape: Tape, node: Node, g: str) -> Grads:
    data, index, updates = node.inputs[:3]
    kept, placed = g, None
    if _replaces(node) and tape.wants(data):
        kept = tape.op("ScatterND", g, index, tape.zeros_like(updates))
    if tape.wants(updates):
        placed = tape.op("GatherND", g, index)
    return [kept, None, placed]


@first_output_rule
def scatter_elements(tape: Tape, node: Node, g: str) -> Grads:
    data, index, updates = node.inputs[:3]
    axis = node.attributes.get("axis", 0)
    kept, placed = g, None
    if _replaces(node) and tape.wants(data):
        kept = tape.op("ScatterElements", g, index, tape.zeros_like(updates), axis=axis)
    if tape.wants(updates):
        placed = tape.op("GatherElements", g, index, axis=axis)
    return [kept, None, placed]


def _replaces(node: Node) -> bool:
    """Return whether updates stand in for what they are put on; else they are added to it."""
    reduction = node.attributes.get("reduction", "none")
    if reduction not in ("none", "add"):
        raise Refusal(f"its reduction is {reduction!r}")
    return bool(reduction == "none")


@first_output_rule
def top_k(tape: Tape, node: Node, g: str) -> Grads:
    axis = node.attributes.get("axis", -1)
    return [
        tape.op("ScatterElements", tape.zeros_like(node.x), node.outputs[1], g, axis=axis),
        None,
    ]


@first_output_rule
def pad(tape: Tape, node: Node, g: str) -> Grads:
    if tape.wants(node.input(2)):
        raise Refusal("what it pads with depends on the image")
    rank = len(tape.shape(node.x))
    pads = tape.integers(node.inputs[1], "pads")
    axes = tape.integers(node.input(3), "axes") if node.input(3) else list(range(rank))
    mode = node.attributes.get("mode", "constant")
    for axis, before, after in zip(axes, pads, pads[len(axes) :], strict=False):
        axis %= rank
        if not before and not after:
            continue
        (size,) = tape.sizes(node.x, [axis])
        if mode == "constant":
            g = _undo_constant_pad(tape, g, axis, rank, (before, after, size))
        else:
            matrix = _make_pad_matrix(mode, before, after, size)
            g = tape.contract(g, tape.real(matrix), axis, rank)
    return [g]


def _undo_constant_pad(
    tape: Tape, g: str, axis: int, rank: int, extent: tuple[int, int, int]
) -> str:
    """Remove the padding of an axis, and put zeros where negative pads removed entries."""
    before, after, size = extent
    start, stop = max(before, 0), max(before, 0) + size + min(before, 0) + min(after, 0)
    if before > 0 or after > 0:
        g = tape.slice(g, [start], [stop], [axis])
    lost_before, lost_after = [0] * rank, [0] * rank
    lost_before[axis], lost_after[axis] = max(-before, 0), max(-after, 0)
    return tape.pad(g, lost_before, lost_after)


def _make_pad_matrix(mode: str, before: int, after: int, size: int) -> Array:
    """Return the matrix (padded, size) with a 1 in each row at the entry that it repeats."""
    if min(before, after) < 0:
        raise Refusal(f"it removes entries by negative pads in mode {mode!r}")
    places = np.arange(size)
    both = (before, after)
    if mode == "edge":
        index = np.pad(places, both, mode="edge")
    else:
        index = np.pad(places, both, mode="reflect" if mode == "reflect" else "wrap")
    return np.eye(size)[index]


RULES: dict[str, Rule] = {
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Pad": pad,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "Slice": slice_,
    "TopK": top_k,
}
