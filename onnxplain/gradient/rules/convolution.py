"""Convolutions and their gradients with respect to the input.

On the CPU provider a convolution is faster than a transposed one, above all where each
channel has its own kernel. So at stride 1 the gradient is a convolution with the kernel
turned around; at other strides it is a transposed convolution with the forward weights.
"""

# ruff: noqa: D103 (a rule is described by the operator it is named after)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule


@dataclass(frozen=True)
class Window:
    """Where the windows of a convolution or pooling lie on its input.

    `before` holds the pads before the input; `inputs` and `outputs` are the spatial sizes.
    """

    kernel: Sequence[int]
    strides: Sequence[int]
    dilations: Sequence[int]
    before: Sequence[int]
    inputs: Sequence[int]
    outputs: Sequence[int]

    @property
    def spans(self) -> list[int]:
        """Number of input places from the first that a window reads to the last."""
        return [
            dilation * (size - 1) + 1
            for dilation, size in zip(self.dilations, self.kernel, strict=True)
        ]

    @property
    def after(self) -> list[int]:
        """Pads after the input that the last window reads; negative if it ends before the input."""
        return [
            (out - 1) * stride + span - size - before
            for out, stride, span, size, before in zip(
                self.outputs, self.strides, self.spans, self.inputs, self.before, strict=True
            )
        ]


def read_window(
    node: Node, kernel: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]
) -> Window:
    """Return the window of a node, with its automatic pads worked out."""
    rank = len(kernel)
    strides = node.attributes.get("strides", [1] * rank)
    dilations = node.attributes.get("dilations", [1] * rank)
    unpadded = Window(kernel, strides, dilations, [0] * rank, inputs, outputs)
    automatic = node.attributes.get("auto_pad", "NOTSET")
    before = node.attributes.get("pads", [0] * rank)[:rank]
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max(total, 0) for total in unpadded.after]
        before = [total // 2 if automatic == "SAME_UPPER" else -(-total // 2) for total in totals]
    elif automatic == "VALID":
        before = [0] * rank
    return Window(kernel, strides, dilations, before, inputs, outputs)


def adjoint(tape: Tape, g: str, weight: str, shape: Sequence[int], group: int, w: Window) -> str:
    """Write the gradient of a convolution's input; `shape` is the weight's: (M, C / group, ...)."""
    lead = [span - 1 - before for span, before in zip(w.spans, w.before, strict=True)]
    trail = [span - 1 - after for span, after in zip(w.spans, w.after, strict=True)]
    if set(w.strides) == {1} and min(*lead, *trail, 0) >= 0:
        turned = _turn_around(tape, weight, shape, group)
        return tape.op(
            "Conv", g, turned, group=group, dilations=[*w.dilations], pads=[*lead, *trail]
        )
    after = [max(pad, 0) for pad in w.after]
    # CUDA's ConvTranspose takes symmetric pads only: the rest of the longer pads is sliced off.
    both = [min(pads) for pads in zip(w.before, after, strict=True)]
    wide = tape.op(
        "ConvTranspose",
        g,
        weight,
        group=group,
        strides=[*w.strides],
        dilations=[*w.dilations],
        pads=both * 2,
        output_padding=[max(-pad, 0) for pad in w.after],  # places that no window reads
    )
    uneven = [axis for axis, pad in enumerate(both) if not pad == w.before[axis] == after[axis]]
    if not uneven:
        return wide
    starts = [w.before[axis] - both[axis] for axis in uneven]
    stops = [start + w.inputs[axis] for start, axis in zip(starts, uneven, strict=True)]
    return tape.slice(wide, starts, stops, [2 + axis for axis in uneven])


def _turn_around(tape: Tape, weight: str, shape: Sequence[int], group: int) -> str:
    """Swap input and output channels within groups and turn every kernel around."""
    out, per_group, *kernel = shape
    axes = range(len(kernel))
    if group == 1:
        weight = tape.transpose(weight, [1, 0, *(2 + axis for axis in axes)])
    elif (out, per_group) != (group, 1):
        parts = tape.reshape(weight, [group, out // group, per_group, *kernel])
        swapped = tape.transpose(parts, [0, 2, 1, *(3 + axis for axis in axes)])
        weight = tape.reshape(swapped, [group * per_group, out // group, *kernel])
    return tape.flip(weight, [2 + axis for axis in axes if kernel[axis] > 1])


def _read_weight_shape(tape: Tape, node: Node) -> list[int]:
    weight = node.inputs[1]
    if tape.wants(weight) and tape.producer(weight) is not None:
        raise Refusal("its weights depend on the image")
    return tape.sizes(weight, range(len(tape.shape(weight))))


def _read_spatial_sizes(tape: Tape, name: str) -> list[int]:
    return tape.sizes(name, range(2, len(tape.shape(name))))


@first_output_rule
def conv(tape: Tape, node: Node, g: str) -> Grads:
    weight, bias = node.inputs[1], node.input(2)
    grads: list[str | None] = [None, None, None]
    if tape.wants(node.x):
        grads[0] = transpose_conv(tape, node, g, weight)
    if tape.wants(weight):
        grads[1] = _differentiate_kernel(tape, node, g)
    if bias and tape.wants(bias):
        grads[2] = _differentiate_bias(tape, node, g)
    return grads


def _differentiate_bias(tape: Tape, node: Node, g: str) -> str:
    return tape.sum(g, [0, *range(2, len(tape.shape(node.y)))], keep=False)


def _differentiate_kernel(tape: Tape, node: Node, g: str) -> str:
    """Write a convolution of the input with the output's gradient, summed over images.

    Images and channels change places, and so do strides and dilations.
    """
    w, group = _read_conv_window(tape, node), node.attributes.get("group", 1)
    rank, (channels,) = len(w.kernel), tape.sizes(node.x, [1])
    space = range(3, 3 + rank)
    parts = tape.reshape(node.x, [None, group, channels // group, *w.inputs])
    moved = tape.transpose(parts, [2, 1, 0, *space])  # (C / group, group, N, ...)
    images = tape.op("Reshape", moved, tape.ints([channels // group, -1, *w.inputs]))
    filters = tape.transpose(g, [1, 0, *range(2, 2 + rank)])
    product = tape.op(
        "Conv",
        images,
        filters,
        group=group,
        strides=[*w.dilations],
        dilations=[*w.strides],
        pads=[*w.before, *(max(after, 0) for after in w.after)],
    )
    axes = list(range(2, 2 + rank))
    if any(after < 0 for after in w.after):  # places that no window reads
        product = tape.slice(product, [0] * rank, [*w.kernel], axes)
    return tape.transpose(product, [1, 0, *axes])


def _read_conv_window(tape: Tape, node: Node) -> Window:
    shape = _read_weight_shape(tape, node)
    inputs, outputs = (_read_spatial_sizes(tape, name) for name in (node.x, node.y))
    return read_window(node, shape[2:], inputs, outputs)


def transpose_conv(tape: Tape, node: Node, g: str, weight: str) -> str:
    """Write the adjoint of a convolution, applied to g, with a weight of the same shape."""
    shape, window = _read_weight_shape(tape, node), _read_conv_window(tape, node)
    return adjoint(tape, g, weight, shape, node.attributes.get("group", 1), window)


@first_output_rule
def conv_transpose(tape: Tape, node: Node, g: str) -> Grads:
    bias = node.input(2)
    return [
        transpose_conv_transpose(tape, node, g, node.inputs[1]) if tape.wants(node.x) else None,
        None,
        _differentiate_bias(tape, node, g) if bias and tape.wants(bias) else None,
    ]


def transpose_conv_transpose(tape: Tape, node: Node, g: str, weight: str) -> str:
    """Write the convolution whose adjoint the node is, with a weight of the same shape."""
    shape = _read_weight_shape(tape, node)
    if tape.wants(node.inputs[1]):
        raise Refusal("its weights depend on the image")
    if node.attributes.get("output_shape"):
        raise Refusal("it has an output_shape in place of pads")
    # Its input is the output of that convolution.
    inputs, outputs = (_read_spatial_sizes(tape, name) for name in (node.y, node.x))
    w = read_window(node, shape[2:], inputs, outputs)
    return tape.op(
        "Conv",
        g,
        weight,
        group=node.attributes.get("group", 1),
        strides=[*w.strides],
        dilations=[*w.dilations],
        pads=[*w.before, *(max(after, 0) for after in w.after)],
    )


RULES: dict[str, Rule] = {"Conv": conv, "ConvTranspose": conv_transpose}
