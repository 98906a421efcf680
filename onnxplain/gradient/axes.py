"""Which axis of a tensor holds the channels: decided by the operators around it, never by sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnx import NodeProto

from onnxplain.gradient.cuts import STORING, Region
from onnxplain.graph.nodes import read_attributes
from onnxplain.graph.shapes import Dims

# Operators of images whose channels are second, such as convolutions and pooling.
CHANNELS_SECOND = {
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DepthToSpace",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GroupNormalization",
    "InstanceNormalization",
    "LRN",
    "LpPool",
    "MaxPool",
    "QLinearAveragePool",
    "QLinearConv",
    "QLinearGlobalAveragePool",
    "SpaceToDepth",
}
# Operators that leave every element in its place, or change rows and columns alone.
KEEPING = {
    *STORING,
    *("Abs", "Add", "Celu", "Clip", "Concat", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid"),
    *("HardSwish", "LeakyRelu", "Max", "Min", "Mish", "Mul", "Neg", "PRelu", "Pad", "Pow", "Relu"),
    *("QLinearAdd", "QLinearConcat", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid"),
    *("Resize", "Selu", "Sigmoid", "Softplus", "Sqrt", "Sub", "Sum", "Swish", "Tanh"),
}
SECOND, LAST = 1, 3
PERMUTATIONS = {(0, 3, 1, 2): (LAST, SECOND), (0, 2, 3, 1): (SECOND, LAST)}  # of input and output


def find_channel_axis(
    tensor: str, region: Region, dims: Mapping[str, Dims | None], values: Mapping[str, Any]
) -> int | None:
    """Return 1 or 3, the axis of the channels of a tensor of four axes; None if nothing tells.

    Parameters
    ----------
    tensor : str
        Its name.
    region : Region
        The graph that it belongs to.
    dims : mapping
        The dimensions of every tensor.
    values : mapping of ndarray
        Small constants, such as the axes of a mean.
    """
    seen, waiting = {tensor}, [tensor]
    while waiting:  # the nearest operator that tells decides
        following: list[str] = []
        for name in waiting:
            producer, consumers = region.producers.get(name), region.consumers.get(name, [])
            for node in consumers if producer is None else [producer, *consumers]:
                axis = _read_axis(node, name, dims, values)
                if axis is not None:
                    return axis
                if node.op_type in KEEPING:
                    following += [
                        near for near in (*node.input, *node.output) if near in region.places
                    ]
        waiting = [
            name
            for name in dict.fromkeys(following)
            if name not in seen
            and len(dims.get(name) or ()) == 4
            and 1 not in (dims[name] or ())[1:]
        ]
        seen.update(waiting)
    return None


def _read_axis(
    node: NodeProto, tensor: str, dims: Mapping[str, Dims | None], values: Mapping[str, Any]
) -> int | None:
    """Return the axis of the channels of a tensor that a node reads or makes, if it tells."""
    op, is_made = node.op_type, tensor in node.output
    is_image = is_made or node.input[0] == tensor
    if op in CHANNELS_SECOND and is_image:
        attributes = read_attributes(node)
        return LAST if attributes.get("channels_last") else SECOND
    if op == "Transpose":
        order = tuple(read_attributes(node).get("perm", ()))
        return PERMUTATIONS[order][is_made] if order in PERMUTATIONS else None
    if op.startswith("Reduce") and not is_made:
        return _read_reduction(node, values)
    if op == "LayerNormalization" and is_image:
        return LAST if read_attributes(node).get("axis", -1) in (-1, 3) else None
    if op == "MatMul" and is_image and len(dims.get(node.input[1]) or ()) == 2:
        return LAST
    if op in KEEPING:
        return _read_broadcast(node, dims)
    return None


def _read_reduction(node: NodeProto, values: Mapping[str, Any]) -> int | None:
    """Read a mean over all positions, or over the channels as in a normalisation."""
    axes = read_attributes(node).get("axes")
    if axes is None and len(node.input) > 1 and node.input[1] in values:
        axes = values[node.input[1]].ravel().tolist()
    reduced = {int(axis) % 4 for axis in axes or ()}
    if reduced in ({1, 2}, {LAST}):
        return LAST
    return SECOND if reduced in ({2, 3}, {SECOND}) else None


def _read_broadcast(node: NodeProto, dims: Mapping[str, Dims | None]) -> int | None:
    """Read where a value per channel goes: a bias, a slope or a gate."""
    for name in node.input:
        sizes = dims.get(name)
        if sizes is None or not sizes or len(sizes) > 4:
            continue
        axes = [4 - len(sizes) + place for place, size in enumerate(sizes) if size != 1]
        if len(axes) == 1 and axes[0] in (SECOND, LAST):
            return axes[0]
    return None
