"""The nodes and tensors of a graph that a gradient passes through."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import onnx
from onnx import TensorProto

from onnxplain.gradient.rules import FLAT
from onnxplain.graph.nodes import collect_reads, read_attributes

REALS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}


def carries_gradient(node: onnx.NodeProto) -> bool:
    """Return whether a gradient passes a node; integers, comparisons and roundings stop it."""
    if node.domain in ("", "ai.onnx") and node.op_type == "Cast":
        return read_attributes(node)["to"] in REALS
    return node.domain not in ("", "ai.onnx") or node.op_type not in FLAT


def find_dependents(
    graph: onnx.GraphProto, sources: Iterable[str], stops: Collection[str] = ()
) -> set[str]:
    """Return the sources and the tensors that depend on them in a way that has a gradient.

    Nothing depends on anything through the tensors in `stops`.
    """
    dependents = set(sources)
    for node in graph.node:
        if carries_gradient(node) and collect_reads(node) & dependents:
            dependents.update(name for name in node.output if name and name not in stops)
    return dependents


def list_nodes_back_from(
    target: str, graph: onnx.GraphProto, among: Collection[str]
) -> list[onnx.NodeProto]:
    """Return the nodes on the paths to a target through `among`, the last node first."""
    needed, nodes = {target}, []
    for node in reversed(graph.node):
        read = collect_reads(node) & set(among)
        if carries_gradient(node) and needed & set(node.output) and read:
            needed |= read
            nodes.append(node)
    return nodes


def list_nodes_for(
    tensors: Iterable[str | None], nodes: Sequence[onnx.NodeProto]
) -> list[onnx.NodeProto]:
    """Return the nodes that compute some tensors, directly or not, in their order."""
    needed, kept = set(tensors), []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= collect_reads(node)
            kept.append(node)
    return kept[::-1]


def prune(graph: onnx.GraphProto) -> None:
    """Remove the nodes and constants that no output of a graph depends on."""
    outputs = {value.name for value in graph.output}
    nodes = list_nodes_for(outputs, graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    used = outputs.union(*map(collect_reads, nodes))
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in used:
            del graph.initializer[place]
