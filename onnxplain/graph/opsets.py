"""The opset of a file that has to run on runtimes of some age."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto

from onnxplain.graph.nodes import read_attributes, walk_nodes
from onnxplain.graph.writer import GraphWriter

# What computed something else in opset 18 with the same inputs and attributes: operators, an
# attribute that is set, and values of attributes that were not known yet.
CHANGED = {"GridSample", "GroupNormalization"}
CHANGED_IF_SET = {("AveragePool", "ceil_mode")}
NEW_VALUES = {b"half_pixel_symmetric", b"wrap"}


def lower_opset(model: ModelProto, newest: int, dtype: np.dtype[Any]) -> None:
    """Declare an older opset of the standard operators, in place, if that changes nothing.

    Most later versions of operators only take more types, and Gelu is written out. A model with
    another operator, or an attribute, that `newest` does not have keeps its opset.

    Parameters
    ----------
    model : ModelProto
        Changed in place.
    newest : int
        The opset to declare if the model's is newer.
    dtype : dtype
        Type of the model's real numbers.
    """
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > newest:
            _write_out_gelus(model.graph, dtype)
            nodes = (node for node in walk_nodes(model.graph.node) if node.domain == entry.domain)
            if all(_is_known(node, newest) for node in nodes):
                entry.version = newest


def _is_known(node: NodeProto, opset: int) -> bool:
    """Whether an operator has the inputs and attributes of a node in an opset."""
    if node.op_type in CHANGED or not onnx.defs.has(node.op_type, opset, ""):
        return False
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    return len(node.input) <= schema.max_input and all(
        entry.name in schema.attributes
        and entry.s not in NEW_VALUES
        and not (entry.i and (node.op_type, entry.name) in CHANGED_IF_SET)
        for entry in node.attribute
    )


def _write_out_gelus(graph: GraphProto, dtype: np.dtype[Any]) -> None:
    """Replace each Gelu: half its input, times 1 and Erf, or Tanh of a polynomial, of the input."""
    for place, node in reversed(list(enumerate(graph.node))):
        if node.op_type != "Gelu" or node.domain not in ("", "ai.onnx"):
            continue
        x, y = node.input[0], node.output[0]
        approximate = read_attributes(node).get("approximate")
        del graph.node[place]
        writer = GraphWriter(graph, prefix="gelu/", at=place)
        half, one, root, bend, scale = (
            writer.store(np.array(number, dtype))
            for number in (0.5, 1, math.sqrt(2), 0.044715, math.sqrt(2 / math.pi))
        )
        if approximate == "tanh":
            cube = writer.op("Mul", writer.op("Mul", x, x), x)
            bent = writer.op("Add", x, writer.op("Mul", cube, bend))
            gate = writer.op("Tanh", writer.op("Mul", bent, scale))
        else:
            gate = writer.op("Erf", writer.op("Div", x, root))
        halved = writer.op("Mul", x, half)
        writer.op("Mul", halved, writer.op("Add", gate, one), out=y)
