"""Put the nodes of a graph in the order in which they can run."""

from __future__ import annotations

from collections import defaultdict
from heapq import heapify, heappop, heappush

from onnx import GraphProto, NodeProto

from onnxplain.graph.nodes import collect_reads, list_subgraphs


def sort_nodes(graph: GraphProto) -> bool:
    """Sort the nodes of a graph and its subgraphs; return whether any had to move.

    ONNX wants every node behind those that it reads from; ONNX Runtime's conversion to float16
    puts its casts at the end. Nodes keep their order where they can. A graph with a cycle is
    left as it is.
    """
    moved = False
    for node in graph.node:
        for _, inner in list_subgraphs(node):
            moved |= sort_nodes(inner)
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output if name}
    waits = [
        {makers[name] for name in collect_reads(node) if name in makers} for node in graph.node
    ]
    if all(place > max(before, default=-1) for place, before in enumerate(waits)):
        return moved
    order = _find_order(waits)
    if len(order) < len(waits):
        return moved
    nodes = [NodeProto.FromString(graph.node[place].SerializeToString()) for place in order]
    del graph.node[:]
    graph.node.extend(nodes)
    return True


def _find_order(waits: list[set[int]]) -> list[int]:
    """Return places such that each comes behind those it waits for, the smallest first."""
    followers = defaultdict[int, list[int]](list)
    for place, before in enumerate(waits):
        for other in before:
            followers[other].append(place)
    left = [len(before) for before in waits]
    ready = [place for place, count in enumerate(left) if not count]
    heapify(ready)
    order = []
    while ready:
        place = heappop(ready)
        order.append(place)
        for follower in followers[place]:
            left[follower] -= 1
            if not left[follower]:
                heappush(ready, follower)
    return order
