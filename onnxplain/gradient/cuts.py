"""The tensors through which alone the scores depend on the image: the cuts of a graph.

Names of layers differ with every exporter, so layers are found by what they do. The nodes
between the image and the scores are visited in order, with the set of tensors that are still
to be read. A tensor that is alone in this set is a cut: all that follows sees the image only
through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from onnx import GraphProto, NodeProto

from onnxplain.graph.nodes import collect_reads

SIZES = ("Shape", "Size")  # they read how large a tensor is, and not its values
# Operators that keep a tensor and only store it in another type.
STORING = ("Cast", "DequantizeLinear", "Dropout", "Identity", "QuantizeLinear")


@dataclass(frozen=True, eq=False)
class Region:
    """The part of a graph between two tensors.

    Parameters
    ----------
    source, target : str
        Where it begins and ends.
    nodes : tuple of NodeProto
        The nodes on the paths between them, in order.
    producers : mapping of NodeProto
        The node that makes each tensor of the region; none for `source`.
    consumers : mapping of list of NodeProto
        The nodes of the region that read each tensor.
    """

    source: str
    target: str
    nodes: tuple[NodeProto, ...]
    producers: Mapping[str, NodeProto]
    consumers: Mapping[str, list[NodeProto]] = field(repr=False)

    @cached_property
    def cuts(self) -> tuple[str, ...]:
        """The tensors that every path passes, `source` and `target` included, in order."""
        unread = Counter({name: len(readers) for name, readers in self.consumers.items()})
        live, cuts = {self.source}, [self.source]
        for node in self.nodes:
            for name in collect_reads(node) & live:
                unread[name] -= 1
                if not unread[name]:
                    live.discard(name)
            live.update(name for name in node.output if unread[name] or name == self.target)
            if len(live) == 1:
                cuts += live
        return tuple(cuts)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place of each tensor: that of the node which makes it, 0 for `source`."""
        made = {
            name: place for place, node in enumerate(self.nodes, start=1) for name in node.output
        }
        return {**made, self.source: 0}

    def find_origin(self, tensor: str) -> NodeProto | None:
        """Return the node that computed a tensor, before it was stored in other types."""
        node = self.producers.get(tensor)
        while node is not None and node.op_type in STORING:
            node = self.producers.get(node.input[0])
        return node

    def list_uses(self, tensor: str) -> list[NodeProto]:
        """List the nodes that compute with a tensor, also after it was stored in other types."""
        uses: list[NodeProto] = []
        for node in self.consumers.get(tensor, ()):
            uses += self.list_uses(node.output[0]) if node.op_type in STORING else [node]
        return uses


def find_region(graph: GraphProto, source: str, target: str) -> Region:
    """Find the nodes on the paths from one tensor to another.

    Parameters
    ----------
    graph : GraphProto
        With its nodes in order.
    source, target : str
        Names of tensors, such as the image and the scores.
    """
    return _connect(_list_nodes_between(graph.node, source, target), source, target)


def find_inner_region(region: Region, source: str, target: str) -> Region:
    """Find the nodes of a region on the paths from one of its tensors to another."""
    return _connect(_list_nodes_between(region.nodes, source, target), source, target)


def _list_nodes_between(
    nodes: Iterable[NodeProto], source: str, target: str
) -> tuple[NodeProto, ...]:
    dependent, forward = {source}, []
    for node in nodes:
        if node.op_type not in SIZES and collect_reads(node) & dependent:
            dependent.update(filter(None, node.output))
            forward.append(node)
    needed, between = {target}, []
    for node in reversed(forward):
        if needed & set(node.output) and source not in node.output:
            needed |= collect_reads(node)
            between.append(node)
    return tuple(between[::-1])


def _connect(nodes: tuple[NodeProto, ...], source: str, target: str) -> Region:
    producers: dict[str, NodeProto] = {}
    consumers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in collect_reads(node):
            if name == source or name in producers:
                consumers.setdefault(name, []).append(node)
        producers.update({name: node for name in node.output if name})
    return Region(source, target, nodes, producers, consumers)
