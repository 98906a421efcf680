"""Which nodes carry a gradient, and which of those have no rule."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from onnxplain.graph.gradient.facts import attributes
from onnxplain.graph.gradient.rules import FLAT, RULES
from onnxplain.graph.gradient.tape import Rule, read_node

REALS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}


@dataclass(frozen=True)
class Obstacle:
    """A node through which the score depends on the image, and that has no gradient.

    Parameters
    ----------
    node, operator : str
        The node's name and operator.
    reason : str
        What stands in the way.
    """

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        return f"node {self.node!r} ({self.operator}): {self.reason}"


def reads(node: onnx.NodeProto) -> set[str]:
    """Tensors that a node reads, also those that its subgraphs take from outside."""
    names = set(node.input)
    for one in node.attribute:
        for graph in (one.g, *one.graphs):
            for inner in graph.node:
                names |= reads(inner)
    return names


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


def explain_unsupported(
    model: onnx.ModelProto, *, input: str, output: str, rules: Mapping[str, Rule] = RULES
) -> list[Obstacle]:
    """Why a model is not differentiable; empty if nothing is seen that speaks against it.

    Parameters
    ----------
    model : ModelProto
        As it was exported.
    input, output : str
        Its image and its scores.
    rules : mapping of Rule
        The operators that can be differentiated.

    Returns
    -------
    obstacles : list of Obstacle
        In the order of the graph. What a rule refuses for its attributes alone is found
        only by building the gradient.
    """
    codes = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    if codes.get(input) not in REALS:
        kind = TensorProto.DataType.Name(codes.get(input, 0)).lower()
        return [Obstacle(input, "input", f"it holds {kind}, which has no gradient")]
    nodes = reaching(model.graph, output, reached(model.graph, [input]))
    path = [(node, read_node(node)) for node in reversed(nodes)]
    obstacles = [
        Obstacle(node.name, node.operator, "it has a subgraph" if _nested(proto) else "no rule")
        for proto, node in path
        if node.operator not in rules
    ]
    if not path:
        reason = f"{output!r} does not depend on {input!r} in a way that has a gradient"
        obstacles.append(Obstacle(output, "output", reason))
    return obstacles


def _nested(node: onnx.NodeProto) -> bool:
    return any(one.HasField("g") or one.graphs for one in node.attribute)
