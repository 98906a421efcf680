"""A model that also outputs some of its inner tensors, as real numbers; no gradient is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from onnxplain.gradient.fused import expand_attention
from onnxplain.graph.nodes import collect_reads, find_producers
from onnxplain.graph.writer import GraphWriter

# Where quantised operators hold the scale of their output; its zero point is the next input.
SCALE_PLACES = {
    "QLinearAdd": 6,
    "QLinearAveragePool": 3,
    "QLinearConcat": 0,
    "QLinearConv": 6,
    "QLinearGlobalAveragePool": 3,
    "QLinearLeakyRelu": 3,
    "QLinearMatMul": 6,
    "QLinearMul": 6,
    "QLinearSigmoid": 3,
    "QuantizeLinear": 1,
}
# Operators that leave whole numbers as they are.
PASSING = {"Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}


def add_tensors(
    model: ModelProto, output: str, tensors: Sequence[str]
) -> tuple[ModelProto, tuple[str, ...]]:
    """Return a copy of a model with the outputs `output` and some inner tensors alone.

    Parameters
    ----------
    model : ModelProto
        Its weights may lie in other files.
    output : str
        Its scores.
    tensors : sequence of str
        Names of inner tensors; whole numbers of quantised ones become the real numbers that
        they stand for. Those inside an Attention have it written out.

    Returns
    -------
    changed : ModelProto
    names : tuple of str
        Under which output each tensor is.
    """
    computed = {name for node in model.graph.node for name in node.output}
    changed = ModelProto()
    changed.CopyFrom(model if computed.issuperset(tensors) else expand_attention(model))
    graph = changed.graph
    makers = find_producers(graph)
    writer = GraphWriter(graph, prefix="inside/")
    names = tuple(_make_real(writer, makers, tensor) for tensor in tensors)
    kept = [value for value in graph.output if value.name == output]
    del graph.output[:]
    graph.output.extend(kept)
    # ONNX Runtime finds their types.
    graph.output.extend(
        ValueInfoProto(name=name) for name in dict.fromkeys(names) if name != output
    )
    return changed, names


def cut_tail(model: ModelProto, tensor: str, outputs: Sequence[str]) -> ModelProto:
    """Return the part of a model behind an inner tensor, which becomes its input as real numbers.

    Parameters
    ----------
    model : ModelProto
        Its weights may lie in other files.
    tensor : str
        What becomes the input; if it holds whole numbers of a quantised model, they are made
        of the real ones. Inputs of the model that only its shapes are made of remain.
    outputs : sequence of str
        Names of the tensors that become the outputs.
    """
    graph, needed, nodes = model.graph, set(outputs), []
    for node in reversed(graph.node):
        if needed & set(node.output) and tensor not in node.output:
            needed |= collect_reads(node)
            nodes.append(node)
    # Only what is needed is copied: the weights of the rest may be large.
    tail = ModelProto(ir_version=model.ir_version)
    tail.opset_import.extend(model.opset_import)
    tail.functions.extend(model.functions)
    tail.graph.name = graph.name
    tail.graph.node.extend(reversed(nodes))
    scale = _find_scale(find_producers(graph), tensor)
    if scale is not None:
        tail.graph.node.insert(0, _quantise(tail.graph.node, tensor, scale))
        needed.update(scale)
    declared = {value.name: value for value in graph.output}
    tail.graph.input.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None))
    tail.graph.input.extend(value for value in graph.input if value.name in needed - {tensor})
    tail.graph.initializer.extend(value for value in graph.initializer if value.name in needed)
    tail.graph.sparse_initializer.extend(
        value for value in graph.sparse_initializer if value.values.name in needed
    )
    tail.graph.output.extend(declared.get(name, ValueInfoProto(name=name)) for name in outputs)
    return tail


def _make_real(writer: GraphWriter, makers: dict[str, NodeProto], tensor: str) -> str:
    scale = _find_scale(makers, tensor)
    return tensor if scale is None else writer.op("DequantizeLinear", tensor, *scale)


def _quantise(nodes: Sequence[NodeProto], tensor: str, scale: tuple[str, str]) -> NodeProto:
    """Let nodes read the whole numbers that a tensor's real ones become; return what makes them."""
    whole = f"inside/{tensor}"
    for node in nodes:
        node.input[:] = [whole if name == tensor else name for name in node.input]
    return helper.make_node("QuantizeLinear", [tensor, *scale], [whole])


def _find_scale(makers: Mapping[str, NodeProto], tensor: str) -> tuple[str, str] | None:
    """Return the scale and zero point of a tensor of whole numbers; None of any other."""
    node = makers.get(tensor)
    while node is not None and node.op_type in PASSING:
        node = makers.get(node.input[0])
    place = None if node is None else SCALE_PLACES.get(node.op_type)
    return None if node is None or place is None else (node.input[place], node.input[place + 1])
