"""The weights of a network: what training changes."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import GraphProto

from onnxplain.gradient.cuts import Region
from onnxplain.gradient.facts import FLOATS
from onnxplain.gradient.node import read_node
from onnxplain.gradient.rulesets.layers_of_weights import WeightsFinder

# The inputs of operators that are weights, if they are stored. Statistics of batch normalisations
# are no weights, nor are constants of arithmetic.
PLACES: Mapping[str, tuple[int, ...]] = {
    "BatchNormalization": (1, 2),
    "Conv": (1, 2),
    "Gemm": (1, 2),
    "LayerNormalization": (1, 2),
    "MatMul": (0, 1),
}


def find_parameters(graph: GraphProto, region: Region) -> tuple[str, ...]:
    """Find the stored weights between the image and the score, in order.

    Parameters
    ----------
    graph : GraphProto
        With its weights.
    region : Region
        Its part between the image and the score.
    """
    stored = {tensor.name for tensor in graph.initializer if tensor.data_type in FLOATS}
    finder = WeightsFinder(region)
    found: dict[str, None] = {}
    for node in map(read_node, region.nodes):
        names = [node.input(place) for place in PLACES.get(node.operator, ())]
        added = finder.find_added(node)
        if added is not None:
            names += added.inputs
        found.update(dict.fromkeys(name for name in names if name in stored))
    return tuple(found)
