"""Put a model's local functions in place, so that every check sees the operators they hold."""

from __future__ import annotations

from onnx import FunctionProto, ModelProto, NodeProto
from onnx.inliner import inline_selected_functions

from onnxplain.core.errors import ModelError
from onnxplain.graph.nodes import list_subgraphs, walk_nodes
from onnxplain.graph.shapes import STANDARD_DOMAINS

DOMAINS = (*STANDARD_DOMAINS, "com.microsoft", "com.microsoft.nchwc")
MOST_NODES = 100_000  # after local functions are put in place


def inline_functions(proto: ModelProto, name: str) -> ModelProto:
    """Return the model with its local functions put in place.

    Attributes that a call leaves out have the function's default values, which ONNX's inliner
    does not put in place by itself.

    Parameters
    ----------
    proto : ModelProto
        A model that passes ONNX's own checker.
    name : str
        The file's name, for messages.

    Raises
    ------
    ModelError
        If it uses operators of unknown domains, a function calls itself, or functions that
        call one another add up to more than `MOST_NODES` operators.
    """
    _check_functions(proto, name)
    while proto.functions:
        proto = _inline_outermost(proto)
    return proto


def _inline_outermost(proto: ModelProto) -> ModelProto:
    """Return the model with the functions in place that no other function calls.

    What a function hands on to those that it calls is known only when it is in place itself,
    so that their defaults must wait.
    """
    called = {
        (node.domain, node.op_type)
        for function in proto.functions
        for node in walk_nodes(function.node)
    }
    outermost = {(function.domain, function.name) for function in proto.functions} - called
    completed = ModelProto()
    completed.CopyFrom(proto)
    functions = {
        (function.domain, function.name, function.overload): function
        for function in proto.functions
        if (function.domain, function.name) in outermost
    }
    for node in walk_nodes(completed.graph.node):
        function = functions.get((node.domain, node.op_type, node.overload))
        if function is not None:
            _add_defaults(node, function)
    result = inline_selected_functions(completed, sorted(outermost))
    kept = [
        function
        for function in result.functions
        if (function.domain, function.name) not in outermost
    ]
    del result.functions[:]
    result.functions.extend(kept)
    return result


def _add_defaults(node: NodeProto, function: FunctionProto) -> None:
    """Give a call the default values of the attributes that it leaves out."""
    given = {attribute.name for attribute in node.attribute}
    node.attribute.extend(
        default for default in function.attribute_proto if default.name not in given
    )


def _check_functions(proto: ModelProto, name: str) -> None:
    """Count the operators of a model as if its functions were in place, and check them."""
    functions = {(function.domain, function.name): function for function in proto.functions}
    counts: dict[tuple[str, str], int] = {}

    def count(nodes: list[NodeProto], calling: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in functions:
                if key in calling:
                    raise ModelError(f"{name}: the local function {node.op_type} calls itself")
                if key not in counts:
                    counts[key] = count(list(functions[key].node), (*calling, key))
                total += counts[key]
            elif node.domain not in DOMAINS:
                raise ModelError(
                    f"{name}: uses the operator {node.domain}::{node.op_type}, which no standard "
                    f"ONNX runtime knows; export the model with standard operators only"
                )
            total += 1 + sum(count(list(graph.node), calling) for _, graph in list_subgraphs(node))
        return total

    total = count(list(proto.graph.node), ())
    for key, function in functions.items():  # also those that the graph does not call
        count(list(function.node), (key,))
    if total > MOST_NODES:
        raise ModelError(f"{name}: has {total} operators; at most {MOST_NODES} are accepted")
