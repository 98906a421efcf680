"""Declaring shapes that the runtime cannot infer.

ONNX Runtime computes in the blocked layout of its CPU convolutions only what it can see to
be of equal shape. Past a Reshape it no longer knows that the batch is still the batch, and
would bring every gradient back to the plain layout and forth again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
from onnx import helper

from onnxplain.gradient.facts import Facts

BATCH = "N"


def declare_shapes(
    graph: onnx.GraphProto, facts: Facts, gradients: Mapping[str, Iterable[str]]
) -> None:
    """Write down the shapes of a graph's real tensors and of their gradients.

    Parameters
    ----------
    graph : GraphProto
        Forward and backward; changed in place.
    facts : Facts
        Measured on the forward part.
    gradients : mapping of str to names
        Forward tensors, real because they have one, and the parts of the gradient of each.
    """
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.name in facts.rows and dims:  # some exporters tell no shape of the output
            dims[0].dim_param = BATCH
    made = {name for node in graph.node for name in node.output}
    listed = {value.name for value in graph.output}
    code = helper.np_dtype_to_tensor_dtype(facts.dtype)
    for forward, parts in gradients.items():
        shape: list[int | str | None] = [*facts.shapes[forward]]
        if forward in facts.rows:
            shape[0] = BATCH
        for name in (forward, *parts):
            if name in made and name not in listed:
                listed.add(name)
                graph.value_info.append(helper.make_tensor_value_info(name, code, shape))
