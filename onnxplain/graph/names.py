"""Names of tensors in a graph: which are taken, which are free, who reads one."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from onnx import GraphProto, NodeProto

from onnxplain.graph.shapes import list_subgraphs


def collect_tensor_names(graph: GraphProto) -> set[str]:
    """All names of tensors in a graph and its inner graphs."""
    names = {each.name for each in (*graph.input, *graph.initializer)}
    names.update(each.values.name for each in graph.sparse_initializer)
    for node in graph.node:
        names.update(node.input, node.output)
        for _, inner in list_subgraphs(node):
            names |= collect_tensor_names(inner)
    return names


def find_unused_name(name: str, taken: AbstractSet[str]) -> str:
    """A name that is not taken: this one, or with underscores behind."""
    while name in taken:
        name += "_"
    return name


def find_unused_prefix(prefix: str, taken: AbstractSet[str]) -> str:
    """What no name begins with, so that all that do are free: this, or with underscores before."""
    while any(name.startswith(prefix) for name in taken):
        prefix = f"_{prefix}"
    return prefix


def rename_uses(nodes: Iterable[NodeProto], old: str, new: str) -> None:
    """Let every node that reads `old` read `new`, those of inner graphs too."""
    for node in nodes:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
        for _, inner in list_subgraphs(node):
            rename_uses(inner.node, old, new)
