"""Small constants: whole numbers and factors that make up shapes, computed within bounds.

A graph may hold any operator on small constants, and a few bytes of attributes can make one run
without end: a pooling with a kernel of 2^30, a regular expression. So only arithmetic of shapes
is carried out here, whose cost is bounded by its inputs and outputs, and both are small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, TypeProto, helper, numpy_helper

# Most elements of a value that is kept: whole numbers, and floats such as a Resize's factors.
LARGEST_VALUE = 1024
LARGEST_FLOAT = 16
WHOLE = (
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.BOOL,
)
SHAPE_OPERATORS = {
    *("Abs", "Add", "And", "Cast", "Ceil", "Clip", "Concat", "ConstantOfShape", "Div", "Equal"),
    *("Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Greater"),
    *("GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg"),
    *("Not", "Or", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMin", "ReduceProd"),
    *("ReduceSum", "Reshape", "Round", "ScatterElements", "ScatterND", "Sign", "Slice", "Split"),
    *("Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where", "Xor"),
}


def read_small_value(tensor: TensorProto) -> NDArray[Any] | None:
    """Return the value of a stored tensor if it is small and could make up a shape."""
    floats = tensor.data_type in (TensorProto.FLOAT, TensorProto.DOUBLE)
    whole = tensor.data_type in WHOLE
    limit = LARGEST_FLOAT if floats else LARGEST_VALUE if whole else -1
    if tensor.data_location == TensorProto.EXTERNAL or math.prod(tensor.dims) > limit:
        return None
    return np.asarray(numpy_helper.to_array(tensor))


def evaluate(
    node: NodeProto,
    values: Mapping[str, NDArray[Any]],
    types: Mapping[str, TypeProto],
    counts: Mapping[str, int | None],
    opsets: Mapping[str, int],
) -> dict[str, NDArray[Any]]:
    """Compute the values of a node's outputs, if it is arithmetic of shapes.

    Parameters
    ----------
    node : NodeProto
        A node of a standard domain.
    values, types : mapping
        Values and types of tensors by name; no value is larger than `LARGEST_VALUE`.
    counts : mapping of int
        Number of elements of each output, as inferred; None if it is not known.
    opsets : mapping of int
        Version of each domain.

    Returns
    -------
    results : dict of ndarray
        Nothing, if the value of an input is not known, an output is large, or the node fails.
    """
    inputs = [name for name in node.input if name]
    if node.op_type not in SHAPE_OPERATORS or not inputs:
        return {}
    if not all(name in values for name in inputs):
        return {}
    if any(count is None or count > LARGEST_VALUE for count in counts.values()):
        return {}
    if node.op_type == "Tile" and 0 in counts.values():  # repeated by one axis after the other
        return {}
    results = _run(node, {name: values[name] for name in inputs}, types, opsets)
    return {name: value for name, value in results.items() if _is_kept(value)}


def _is_kept(value: NDArray[Any]) -> bool:
    return value.dtype.kind in ("iubf" if value.size <= LARGEST_FLOAT else "iub")


def _run(
    node: NodeProto,
    feeds: Mapping[str, NDArray[Any]],
    types: Mapping[str, TypeProto],
    opsets: Mapping[str, int],
) -> dict[str, NDArray[Any]]:
    """Run a node by onnx's evaluator; return no results if that fails."""
    from onnx.reference import ReferenceEvaluator

    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_value_info(name, types[name]) for name in feeds],
        [helper.make_value_info(name, TypeProto()) for name in node.output],
    )
    imports = [helper.make_opsetid(*entry) for entry in opsets.items()]
    try:
        evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=imports))
        with np.errstate(all="ignore"):
            results = evaluator.run(None, dict(feeds))
    except Exception:  # whatever an odd node raises, its value is just not known
        return {}
    return {
        name: np.asarray(result)
        for name, result in zip(node.output, results, strict=False)
        if name and result is not None
    }
