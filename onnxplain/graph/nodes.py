"""What a node says: its attributes, the graphs inside it, and the tensors that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from onnx import AttributeProto, GraphProto, NodeProto, helper


def read_attributes(node: NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by name, with text as `str`; defaults are not filled in."""
    values = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in values.items()
    }


def read_int(node: NodeProto, name: str, default: int = 0) -> int:
    """Return a whole number that a node says; `default` if it says none.

    Unlike `read_attributes`, it can be trusted to return one for nodes that nobody checked.
    """
    return next((int(entry.i) for entry in node.attribute if entry.name == name), default)


def read_ints(node: NodeProto, name: str) -> list[int]:
    """Return the whole numbers of a list that a node says, as `read_int`; none if it says none."""
    return next((list(entry.ints) for entry in node.attribute if entry.name == name), [])


def list_subgraphs(node: NodeProto) -> Iterator[tuple[str, GraphProto]]:
    """Yield the graphs that a node holds, each with the name of its attribute."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.name, attribute.g
        for graph in attribute.graphs:
            yield attribute.name, graph


def walk_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Yield nodes and those of the graphs that they hold."""
    for node in nodes:
        yield node
        for _, graph in list_subgraphs(node):
            yield from walk_nodes(graph.node)


def find_producers(graph: GraphProto) -> dict[str, NodeProto]:
    """Return the node that makes each tensor of a graph."""
    return {name: node for node in graph.node for name in node.output}


def collect_reads(node: NodeProto) -> set[str]:
    """Return the tensors that a node reads, with those that its graphs take from outside."""
    names = set(node.input)
    for _, graph in list_subgraphs(node):
        read = {value.name for value in graph.output}  # may be a tensor from outside
        names |= read.union(*map(collect_reads, graph.node)) - _collect_made(graph)
    return names


def _collect_made(graph: GraphProto) -> set[str]:
    """Return the tensors that a graph is given, stores or computes."""
    made = {value.name for value in (*graph.input, *graph.initializer)}
    made.update(sparse.values.name for sparse in graph.sparse_initializer)
    return made.union(*(node.output for node in graph.node))
