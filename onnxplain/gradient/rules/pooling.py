"""Pooling over windows."""

from __future__ import annotations

import numpy as np

from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.rules.convolution import Window, adjoint, read_window
from onnxplain.gradient.tape import Grads, Node, Rule, Tape, first_output_rule


def _window(tape: Tape, node: Node) -> Window:
    axes = range(2, len(tape.shape(node.x)))
    inputs, outputs = tape.sizes(node.x, axes), tape.sizes(node.y, axes)
    return read_window(node, node.attributes["kernel_shape"], inputs, outputs)


@first_output_rule
def max_pool(tape: Tape, node: Node, g: str) -> Grads:
    """Every output's gradient is added at the place it came from; of ties, the first."""
    if node.attributes.get("storage_order", 0):
        raise Refusal("its indices are stored column by column")
    places = node.outputs[1] if len(node.outputs) > 1 and node.outputs[1] else ""
    if not places:
        _, places = tape.ops("MaxPool", [node.x], 2, **node.attributes)
    flat = tape.zeros_like(tape.reshape(node.x, [None]))
    places, g = tape.reshape(places, [None]), tape.reshape(g, [None])
    total = tape.op("ScatterElements", flat, places, g, axis=0, reduction="add")
    return [tape.reshape_like(total, node.x)]


@first_output_rule
def average_pool(tape: Tape, node: Node, g: str) -> Grads:
    """Each window's share, summed over the windows that read a place.

    Each channel becomes an image of its own, so that one kernel of ones serves all.
    """
    w = _window(tape, node)
    rank = len(w.kernel)
    lone = tape.reshape(tape.mul(g, _shares(tape, node, w)), [None, 1, *w.outputs])
    ones = [1, 1, *w.kernel]
    back = adjoint(tape, lone, tape.real(np.ones(ones)), ones, 1, w)
    channels = tape.sizes(node.x, [1])
    return [tape.reshape(back, [None, *channels, *w.inputs][: 2 + rank])]


def _shares(tape: Tape, node: Node, w: Window) -> str:
    """One over what each window divides by, shape (1, 1, ...).

    The pooling of ones is the number of places a window reads over that divisor, whatever
    the runtime makes of count_include_pad and ceil_mode.
    """
    pooled = tape.op("AveragePool", tape.real(np.ones([1, 1, *w.inputs])), **node.attributes)
    read = np.ones([1, 1])
    for axis, size in enumerate(w.inputs):
        starts = np.arange(w.outputs[axis]) * w.strides[axis] - w.before[axis]
        reads = starts[:, None] + np.arange(w.kernel[axis]) * w.dilations[axis]
        count = ((reads >= 0) & (reads < size)).sum(1)
        read = read[..., None] * count
    return tape.mul(pooled, tape.real(1 / read))


RULES: dict[str, Rule] = {"AveragePool": average_pool, "MaxPool": max_pool}
