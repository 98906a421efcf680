"""Stop points: tensors through which a backward walk may be told to let nothing flow.

They scale what others carry. With them held fixed, products and quotients are linear in what
remains, so that relevance can be passed back and conserved. They are found by what they do:

- a *gate* multiplies a signal: the sigmoid of SiLU or of squeeze-and-excitation;
- *attention* weights, from a softmax, multiply values in a product of matrices;
- a *divisor*, such as the deviation of a normalisation, divides what it was made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from onnx import NodeProto

from onnxplain.gradient.cuts import Region
from onnxplain.gradient.rulesets.gates import RESHAPING, UNARY, Gates, find_gates

Stop: TypeAlias = Literal["gate", "attention", "divisor"]
# What attention weights may pass on the way from their softmax to the product.
PASSING = UNARY | RESHAPING | {"Dropout", "Where"}
INVERTING = {"Reciprocal"}


def find_stops(region: Region, gates: Gates | None = None) -> Mapping[str, Stop]:
    """Find the stop points of the graph between the image and the score.

    Parameters
    ----------
    region : Region
        The graph.
    gates : Gates, optional
        Its gates, if they are known already.

    Returns
    -------
    stops : mapping of str
        What each is, by the name of the tensor.
    """
    gates = gates or find_gates(region)
    stops: dict[str, Stop] = {}
    for node in region.nodes:
        operands = [name for name in node.input if name in region.places]
        if len(operands) != 2 or operands[0] == operands[1]:
            continue
        for name, other in (operands, operands[::-1]):
            kind = _classify(region, gates, node, name)
            if kind and not _classify(region, gates, node, other):
                stops[name] = kind
    return stops


def _classify(region: Region, gates: Gates, node: NodeProto, operand: str) -> Stop | None:
    """Return what an operand of a node is; None if it is a signal like any other."""
    if node.op_type == "Div":
        return "divisor" if operand == node.input[1] else None
    if node.op_type == "Mul":
        if operand in gates.inside:
            return "gate"
        maker = region.producers.get(operand)
        return "divisor" if maker is not None and maker.op_type in INVERTING else None
    if node.op_type in ("MatMul", "Einsum"):
        return "attention" if find_softmax(region, operand) is not None else None
    return None


def find_softmax(region: Region, tensor: str) -> NodeProto | None:
    """Return the softmax that made attention weights; None if none did."""
    node = region.producers.get(tensor)
    while node is not None and node.op_type in PASSING:
        inputs = [name for name in node.input if name in region.places]
        node = region.producers.get(inputs[-1])
    return node if node is not None and node.op_type == "Softmax" else None
