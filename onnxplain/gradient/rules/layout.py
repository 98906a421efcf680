"""Operators that move values without changing them: their gradients move them back."""

# ruff: noqa: D103 (a rule is described by the operator it is named after)

from __future__ import annotations

from onnx import TensorProto

from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule


@first_output_rule
def reshape(tape: Tape, node: Node, g: str) -> Grads:
    """Undo Reshape, Flatten, Squeeze or Unsqueeze."""
    return [tape.reshape_like(g, node.x)]


@first_output_rule
def transpose(tape: Tape, node: Node, g: str) -> Grads:
    rank = len(tape.shape(node.x))
    order = node.attributes.get("perm", range(rank)[::-1])
    return [tape.transpose(g, [list(order).index(axis) for axis in range(rank)])]


@first_output_rule
def concat(tape: Tape, node: Node, g: str) -> Grads:
    axis = node.attributes["axis"] % len(tape.shape(node.y))
    grads: list[str | None] = []
    start = 0
    for name in node.inputs:
        (size,) = tape.sizes(name, [axis])
        wanted = tape.wants(name)
        grads.append(tape.slice(g, [start], [start + size], [axis]) if wanted else None)
        start += size
    return grads


def split(tape: Tape, node: Node, grads: Grads) -> Grads:
    parts = [
        tape.zeros_like(name) if grad is None else grad
        for name, grad in zip(node.outputs, grads, strict=True)
    ]
    return [tape.op("Concat", *parts, axis=node.attributes.get("axis", 0))]


@first_output_rule
def expand(tape: Tape, node: Node, g: str) -> Grads:
    return [tape.unbroadcast(g, tape.shape(node.y), node.x)]


@first_output_rule
def tile(tape: Tape, node: Node, g: str) -> Grads:
    """Sum over the copies: an axis of length copies * L is reshaped to (copies, L)."""
    repeats = tape.integers(node.inputs[1], "repeats")
    shape: list[int | None] = []
    for copies, size in zip(repeats, tape.shape(node.x), strict=True):
        shape += [copies, size]
    repeated = [2 * axis for axis in range(len(repeats))]
    if repeats[0] != 1 and shape[1] is None:
        raise Refusal("it repeats the batch")
    return [tape.sum(tape.reshape(g, shape), repeated, keep=False)]


@first_output_rule
def depth_to_space(tape: Tape, node: Node, g: str) -> Grads:
    block, mode = node.attributes["blocksize"], node.attributes.get("mode", "DCR")
    if mode == "DCR":
        return [tape.op("SpaceToDepth", g, blocksize=block)]
    channels, rows, columns = tape.sizes(node.x, (1, 2, 3))
    blocks = tape.reshape(g, [None, channels // block**2, rows, block, columns, block])
    return [tape.reshape_like(tape.transpose(blocks, [0, 1, 3, 5, 2, 4]), node.x)]


@first_output_rule
def space_to_depth(tape: Tape, node: Node, g: str) -> Grads:
    return [tape.op("DepthToSpace", g, blocksize=node.attributes["blocksize"])]


@first_output_rule
def cast(tape: Tape, node: Node, g: str) -> Grads:
    """Allow only the graph's own type: 16-bit numbers have been widened (see `prepare`)."""
    if node.attributes["to"] != tape.code:
        target, own = (
            TensorProto.DataType.Name(code).lower() for code in (node.attributes["to"], tape.code)
        )
        raise Refusal(f"it converts to {target}, where the image is {own}")
    return [g]


@first_output_rule
def trilu(tape: Tape, node: Node, g: str) -> Grads:
    upper = node.attributes.get("upper", 1)
    return [tape.op("Trilu", g, *filter(None, node.inputs[1:]), upper=upper), None]


@first_output_rule
def cumsum(tape: Tape, node: Node, g: str) -> Grads:
    exclusive = node.attributes.get("exclusive", 0)
    reverse = 1 - node.attributes.get("reverse", 0)
    return [tape.op("CumSum", g, node.inputs[1], exclusive=exclusive, reverse=reverse), None]


RULES: dict[str, Rule] = {
    "Cast": cast,
    "Concat": concat,
    "CumSum": cumsum,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": reshape,
    "Reshape": reshape,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": reshape,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": reshape,
}
