"""Declaration of shapes that the runtime cannot infer.

ONNX Runtime keeps the blocked layout of its CPU convolutions only for tensors whose shapes
it knows to be equal. After a Reshape it no longer knows that the first axis is still the
batch, and would convert every gradient to the plain layout and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx

from onnxplain.gradient.facts import Facts
from onnxplain.graph.writer import declare_tensor

BATCH = "N"


def declare_shapes(
    graph: onnx.GraphProto, facts: Facts, gradients: Mapping[str, Iterable[str]]
) -> None:
    """Declare the shapes of a graph's real tensors and of their gradients.

    Parameters
    ----------
    graph : GraphProto
        The forward and backward part; changed in place.
    facts : Facts
        Measured on the forward part.
    gradients : mapping of str to names
        The terms of each forward tensor's gradient. A tensor that has a gradient is real.
    """
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.name in facts.rows and dims:  # some exporters declare no shape of the output
            dims[0].dim_param = BATCH
    computed = {name for node in graph.node for name in node.output}
    declared = {value.name for value in graph.output}
    for forward, terms in gradients.items():
        shape: list[int | str | None] = [*facts.shapes[forward]]
        if forward in facts.rows:
            shape[0] = BATCH
        for name in (forward, *terms):
            if name in computed and name not in declared:
                declared.add(name)
                graph.value_info.append(declare_tensor(name, facts.dtype, shape))
