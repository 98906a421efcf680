"""Which nodes carry a gradient."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import onnx
from onnx import TensorProto

from onnxplain.gradient.facts import attributes, reads
from onnxplain.gradient.rules import FLAT

REALS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}


def carries(node: onnx.NodeProto) -> bool:
    """Whether a gradient can pass a node: not through integers, comparisons, roundings."""
    if node.domain in ("", "ai.onnx") and node.op_type == "Cast":
        return attributes(node)["to"] in REALS
    return node.domain not in ("", "ai.onnx") or node.op_type not in FLAT


def reached(graph: onnx.GraphProto, sources: Iterable[str]) -> set[str]:
    """The tensors that depend on some others in a way that has a gradient."""
    found = set(sources)
    for node in graph.node:
        if carries(node) and reads(node) & found:
            found.update(filter(None, node.output))
    return found


def reaching(graph: onnx.GraphProto, target: str, among: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes, last first, on the paths over some tensors that lead to one."""
    needed, found = {target}, []
    for node in reversed(graph.node):
        if carries(node) and needed & set(node.output) and reads(node) & set(among):
            needed |= reads(node) & set(among)
            found.append(node)
    return found
