"""Put a model's local functions in place, so that every check sees the operators they hold."""

from __future__ import annotations

from onnx import ModelProto, NodeProto
from onnx.inliner import inline_local_functions

from onnxplain.core.errors import ModelError
from onnxplain.graph.shapes import STANDARD_DOMAINS, list_subgraphs

DOMAINS = (*STANDARD_DOMAINS, "com.microsoft", "com.microsoft.nchwc")
MOST_NODES = 100_000  # after local functions are put in place


def inline_functions(proto: ModelProto, name: str) -> ModelProto:
    """Return the model with its local functions put in place.

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
    return inline_local_functions(proto) if proto.functions else proto


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
