"""The opset of a file that has to run on runtimes of some age."""

from __future__ import annotations

import onnx
from onnx import ModelProto, NodeProto

from onnxplain.graph.shapes import walk_nodes

# What computed something else in opset 18 with the same inputs and attributes: operators, an
# attribute that is set, and values of attributes that were not known yet.
CHANGED = {"GridSample", "GroupNormalization"}
CHANGED_IF_SET = {("AveragePool", "ceil_mode")}
NEW_VALUES = {b"half_pixel_symmetric", b"wrap"}


def lower_opset(model: ModelProto, newest: int) -> None:
    """Declare an older opset of the standard operators, in place, if that changes nothing.

    Most later versions of operators only take more types; a model with an operator or an
    attribute that `newest` does not have is left as it is.
    """
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > newest:
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
