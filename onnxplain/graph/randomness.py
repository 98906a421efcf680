"""Find the operators that make a graph answer the same image differently, each time or batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from onnxplain.graph.nodes import collect_reads, list_subgraphs, read_attributes
from onnxplain.graph.shapes import STANDARD_DOMAINS

# Operators that draw new numbers at each run, even with a seed: it is used once per session.
DRAWING = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
FUSED_DROPOUTS = {"BiasDropout", "BitmaskDropout", "BitmaskBiasDropout"}  # by com.microsoft
EVAL = "export the model in evaluation mode, as after model.eval()"


@dataclass(frozen=True, slots=True)
class RandomNode:
    """An operator that makes answers random.

    Parameters
    ----------
    node : str
        Its type and name.
    reason : str
        What it does.
    advice : str
        What to do about it.
    is_certain : bool
        Whether it is certainly active; False where this is computed while the model runs.
    """

    node: str
    reason: str
    advice: str
    is_certain: bool = True

    @property
    def text(self) -> str:
        """The node with what it does."""
        return f"{self.node} {self.reason}"


def list_random_nodes(
    proto: ModelProto, output: str, values: Mapping[str, NDArray[Any]] | None = None
) -> list[RandomNode]:
    """List the operators behind an output that are random, in the order of the graph.

    Parameters
    ----------
    proto : ModelProto
        The graph, its local functions put in place.
    output : str
        Name of the output.
    values : mapping of str to ndarray, optional
        What is known of small tensors, as `Shapes.values`.
    """
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    opset = opsets.get("", opsets.get("ai.onnx", 1))
    needed = _list_needed(proto.graph, output)
    return list(_scan(needed, {**_read_constants(proto.graph), **(values or {})}, opset))


def _list_needed(graph: GraphProto, output: str) -> list[NodeProto]:
    """List the nodes whose values an output depends on."""
    wanted, needed = {output}, []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            needed.append(node)
            if node.op_type not in ("Shape", "Size"):
                wanted |= collect_reads(node)
    return needed[::-1]


def _read_constants(graph: GraphProto) -> dict[str, NDArray[Any]]:
    """Return the stored numbers of a graph, where there is one alone."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            tensors.update(
                (node.output[0], entry.t) for entry in node.attribute if entry.HasField("t")
            )
    return {
        name: numpy_helper.to_array(tensor)
        for name, tensor in tensors.items()
        if not any(dim != 1 for dim in tensor.dims) and not tensor.external_data
    }


def _scan(
    nodes: list[NodeProto], values: Mapping[str, NDArray[Any]], opset: int
) -> Iterator[RandomNode]:
    for node in nodes:
        found = _judge(node, values, opset)
        if found is not None:
            yield found
        for _, graph in list_subgraphs(node):
            yield from _scan(list(graph.node), {**values, **_read_constants(graph)}, opset)


def _judge(node: NodeProto, values: Mapping[str, NDArray[Any]], opset: int) -> RandomNode | None:
    name = f"{node.op_type} {node.name or node.output[0]!r}" if node.output else node.op_type
    if node.domain == "com.microsoft" and node.op_type in FUSED_DROPOUTS:
        first = 3 if node.op_type != "BitmaskDropout" else 1  # place of the ratio
        return _judge_dropout(name, node, values, first)
    if node.domain not in STANDARD_DOMAINS:
        return None
    attributes = read_attributes(node)
    if node.op_type in DRAWING:
        return RandomNode(name, "draws new numbers each time", "export the model without it")
    if node.op_type == "Dropout":
        if opset >= 12:
            return _judge_dropout(name, node, values, 1)
        if opset < 7 and not attributes.get("is_test", 0) and attributes.get("ratio", 0.5) > 0:
            return RandomNode(name, "is in training mode", EVAL)
    if node.op_type == "BatchNormalization" and _is_training(node, attributes, opset):
        reason = "is in training mode: it normalises an image by the others of its batch"
        return RandomNode(name, reason, EVAL)
    return None


def _judge_dropout(
    name: str, node: NodeProto, values: Mapping[str, NDArray[Any]], first: int
) -> RandomNode | None:
    """Judge a Dropout whose inputs say whether it is active: the share from place `first` on."""
    share, training = (
        node.input[place] if place < len(node.input) else "" for place in (first, first + 1)
    )
    if not training or (share in values and values[share].size and not values[share].any()):
        return None
    if training not in values:
        return RandomNode(
            name, "may be in training mode, which is computed while it runs", EVAL, is_certain=False
        )
    return RandomNode(name, "is in training mode", EVAL) if values[training].any() else None


def _is_training(node: NodeProto, attributes: Mapping[str, Any], opset: int) -> bool:
    """Whether a BatchNormalization takes its statistics from the batch."""
    if opset >= 14:
        return bool(attributes.get("training_mode", 0))
    if opset >= 7:  # the further outputs are those of training
        return any(node.output[1:])
    return not attributes.get("is_test", 0)
