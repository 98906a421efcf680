"""How much of the image each tensor sees: the reach of convolutions and pooling."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

from onnx import NodeProto

from onnxplain.gradient.cuts import Region
from onnxplain.graph.nodes import collect_reads, read_attributes
from onnxplain.graph.shapes import Dims

WINDOWED = {
    *("AveragePool", "Conv", "ConvInteger", "LpPool", "MaxPool"),
    *("QLinearAveragePool", "QLinearConv"),
}
# Operators that see all of what they read.
GLOBAL = {
    *("Attention", "Flatten", "Gemm", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"),
    *("MultiHeadAttention", "QGemm", "QLinearGlobalAveragePool", "QLinearMatMul"),
}


class ReceptiveField(NamedTuple):
    """Pixels along a side that a value sees, and between two neighbours."""

    reach: float
    step: float


def find_widest_tensor(
    region: Region, among: Collection[str], dims: Mapping[str, Dims | None]
) -> str | None:
    """Return the last of some tensors that see the most of the image; None if there are none."""
    views = {region.source: ReceptiveField(1, 1)}
    for node in region.nodes:
        before = [views[name] for name in collect_reads(node) if name in views]
        widest = ReceptiveField(
            max(view.reach for view in before), max(view.step for view in before)
        )
        view = _widen(node, widest, dims)
        views.update({name: view for name in node.output if name})
    ranked = [name for name in views if name in among]
    return max(reversed(ranked), key=lambda name: views[name].reach, default=None)


def _widen(
    node: NodeProto, view: ReceptiveField, dims: Mapping[str, Dims | None]
) -> ReceptiveField:
    if node.op_type in GLOBAL or node.op_type.startswith("Reduce"):
        return ReceptiveField(math.inf, view.step)
    if node.op_type not in WINDOWED:
        return view
    attributes = read_attributes(node)
    weights = (
        dims.get(node.input[3 if node.op_type == "QLinearConv" else 1], ())
        if (len(node.input) > 1)
        else ()
    )
    kernel = attributes.get("kernel_shape") or [size or 1 for size in (weights or ())[2:]] or [1]
    spread = attributes.get("dilations") or [1]
    strides = attributes.get("strides") or [1]
    reach = view.reach + (max(kernel) - 1) * max(spread) * view.step
    return ReceptiveField(reach, view.step * max(strides))
