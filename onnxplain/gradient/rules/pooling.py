"""Pooling over windows."""

from __future__ import annotations

import numpy as np

from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.rules.convolution import Window, adjoint, read_window
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule


@first_output_rule
def max_pool(tape: Tape, node: Node, g: str) -> Grads:
    """Add every output's gradient at the place of its maximum, the first among ties."""
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
    """Give each place the sum of the shares of the windows that read it.

    Each channel becomes an image of its own, so that one kernel of ones serves all.
    """
    w = _read_pool_window(tape, node)
    rank = len(w.kernel)
    lone = tape.reshape(tape.mul(g, _write_shares(tape, node, w)), [None, 1, *w.outputs])
    shape = [1, 1, *w.kernel]
    back = adjoint(tape, lone, tape.real(np.ones(shape)), shape, 1, w)
    channels = tape.sizes(node.x, [1])
    return [tape.reshape(back, [None, *channels, *w.inputs][: 2 + rank])]


def _read_pool_window(tape: Tape, node: Node) -> Window:
    axes = range(2, len(tape.shape(node.x)))
    inputs, outputs = tape.sizes(node.x, axes), tape.sizes(node.y, axes)
    return read_window(node, node.attributes["kernel_shape"], inputs, outputs)


def _write_shares(tape: Tape, node: Node, w: Window) -> str:
    """Write one over the divisor of each window, the share of each place that it reads.

    Pooling ones gives the number of places that a window reads over that divisor, however
    the runtime treats count_include_pad and ceil_mode. The shape is (1, 1, ...).
    """
    pooled = tape.op("AveragePool", tape.real(np.ones([1, 1, *w.inputs])), **node.attributes)
    n_read = np.ones([1, 1])
    for axis, size in enumerate(w.inputs):
        starts = np.arange(w.outputs[axis]) * w.strides[axis] - w.before[axis]
        places = starts[:, None] + np.arange(w.kernel[axis]) * w.dilations[axis]
        count = ((places >= 0) & (places < size)).sum(1)
        n_read = n_read[..., None] * count
    return tape.mul(pooled, tape.real(1 / n_read))


RULES: dict[str, Rule] = {"AveragePool": average_pool, "MaxPool": max_pool}
