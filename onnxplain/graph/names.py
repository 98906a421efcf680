"""Names of tensors in a graph: which are taken, which are free, and which nodes read one."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from onnx import GraphProto, NodeProto

from onnxplain.graph.nodes import list_subgraphs


def collect_tensor_names(graph: GraphProto) -> set[str]:
    """Return all names of tensors in a graph and its inner graphs."""
    names = {value.name for value in (*graph.input, *graph.initializer)}
    names.update(sparse.values.name for sparse in graph.sparse_initializer)
    for node in graph.node:
        names.update(node.input, node.output)
        for _, inner in list_subgraphs(node):
            names |= collect_tensor_names(inner)
    return names


def find_unused_name(name: str, taken: AbstractSet[str]) -> str:
    """Return `name`, with underscores appended while it is taken.

    >>> find_unused_name("x", {"x", "x_"})
    'x__'
    """
    while name in taken:
        name += "_"
    return name


def find_unused_prefix(prefix: str, taken: AbstractSet[str]) -> str:
    """Return `prefix`, with underscores put before it while a taken name begins with it.

    Every name that begins with the result is free.

    >>> find_unused_prefix("grad/", {"grad/x"})
    '_grad/'
    """
    while any(name.startswith(prefix) for name in taken):
        prefix = f"_{prefix}"
    return prefix


def rename_uses(nodes: Iterable[NodeProto], old: str, new: str) -> None:
    """Make every node that reads `old` read `new`, including nodes of inner graphs."""
    for node in nodes:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
        for _, inner in list_subgraphs(node):
            rename_uses(inner.node, old, new)
