"""The tensors that a model stores: listed, and checked against the bytes that they have."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from onnxplain.core.errors import ModelError
from onnxplain.graph.nodes import list_subgraphs, walk_nodes

PAIRS = (TensorProto.COMPLEX64, TensorProto.COMPLEX128)


def list_tensors(proto: ModelProto) -> Iterator[TensorProto]:
    """Yield every stored tensor, including those in nodes, subgraphs and functions."""
    yield from _list_graph_tensors(proto.graph)
    for function in proto.functions:
        yield from _list_node_tensors(function.node)


def check_stored(proto: ModelProto, name: str) -> None:
    """Check what every reader of a graph relies on, before anything is inferred from it.

    Parameters
    ----------
    proto : ModelProto
        The model as it was read; external tensors need not be loaded.
    name : str
        The file's name, for messages.

    Raises
    ------
    ModelError
        If a tensor's bytes do not fit its type and dimensions, or a Split says that it has
        another number of outputs than it has, up to which ONNX would count.
    """
    for tensor in list_tensors(proto):
        reason = _find_fault(tensor)
        if reason is not None:
            raise ModelError(
                f"{name}: the stored tensor {tensor.name!r} {reason}; export the model again"
            )
    inner = (node for function in proto.functions for node in walk_nodes(function.node))
    for node in (*walk_nodes(proto.graph.node), *inner):
        if node.op_type == "Split":
            said = [entry.i for entry in node.attribute if entry.name == "num_outputs"]
            if said not in ([], [len(node.output)], [0]):
                raise ModelError(
                    f"{name}: the operator Split {node.name!r} has {len(node.output)} outputs, but "
                    f"says {said[0]}; export the model again"
                )


def _find_fault(tensor: TensorProto) -> str | None:
    """Return what is wrong with a stored tensor, or None."""
    kind = tensor.data_type
    if kind not in helper.get_all_tensor_dtypes():
        return f"is of the unknown type {kind}"
    if any(side < 0 for side in tensor.dims):
        return f"has the dimensions {list(tensor.dims)}"
    if tensor.data_location == TensorProto.EXTERNAL:
        return None
    count = math.prod(tensor.dims)
    type_name = TensorProto.DataType.Name(kind).lower()
    wanted = f"of type {type_name} and dimensions {list(tensor.dims)}"
    if tensor.HasField("raw_data"):
        needed = math.ceil(count * _count_bits(kind) / 8) if kind != TensorProto.STRING else -1
        held = len(tensor.raw_data)
        return None if held == needed else f"{wanted} has {held} bytes, not {needed}"
    bits = _count_bits(kind)
    needed = math.ceil(count * bits / 8) if bits in (2, 4) else count * (2 if kind in PAIRS else 1)
    held = len(getattr(tensor, helper.tensor_dtype_to_field(kind)))
    return None if held == needed else f"{wanted} has {held} numbers, not {needed}"


def _count_bits(kind: int) -> int:
    """Return the bits of a number of a type; those of less than a byte are named by them."""
    small = re.search("(INT|FLOAT)([2-7])(?![0-9])", TensorProto.DataType.Name(kind))
    return int(small[2]) if small else 8 * helper.tensor_dtype_to_np_dtype(kind).itemsize


def _list_graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _list_node_tensors(graph.node)


def _list_node_tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("sparse_tensor"):
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
        for _, graph in list_subgraphs(node):
            yield from _list_graph_tensors(graph)
