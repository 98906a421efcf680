"""What is known inside the graphs that If, Loop and Scan hold."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import GraphProto, NodeProto

from onnxplain.graph.bounds import Bounds
from onnxplain.graph.nodes import list_subgraphs, read_int, read_ints
from onnxplain.graph.shapes import Shapes


def enter_loop(
    node: NodeProto, body: GraphProto, shapes: Shapes, inside: Shapes
) -> tuple[list[str], list[str], list[str], int | None]:
    """Declare the counter and condition of a Loop.

    Returns
    -------
    carried, inputs, outputs : list of str
        Names of the state outside, and of the body's inputs and outputs.
    count : int or None
        Number of trips, None if unknown.
    """
    limit = shapes.values.get(node.input[0])
    count = int(limit.item()) if limit is not None and limit.size == 1 else None
    inside.set(body.input[0].name, onnx.TensorProto.INT64, ())
    inside.set(body.input[1].name, onnx.TensorProto.BOOL, ())
    inputs = [value.name for value in body.input[2:]]
    outputs = [value.name for value in body.output[1:]]
    return list(node.input[2:]), inputs, outputs, count


def enter_scan(
    node: NodeProto, body: GraphProto, shapes: Shapes, inside: Shapes
) -> tuple[list[str], list[str], list[str], int | None]:
    """Declare the slices that a Scan works on; return the same as `enter_loop`."""
    n_scanned = read_int(node, "num_scan_inputs")
    axes = read_ints(node, "scan_input_axes")
    carried, scanned = list(node.input[:-n_scanned]), list(node.input[-n_scanned:])
    inputs = [value.name for value in body.input]
    outputs = [value.name for value in body.output]
    count = _declare_slices(scanned, axes, inputs[len(carried) :], shapes, inside)
    return carried, inputs, outputs, count


def _declare_slices(
    scanned: Sequence[str],
    axes: Sequence[int],
    slices: Sequence[str],
    shapes: Shapes,
    inside: Shapes,
) -> int | None:
    """Give each slice the shape of its tensor without the axis; return the number of slices."""
    count = None
    for index, (outer, inner) in enumerate(zip(scanned, slices, strict=False)):
        dims = shapes.dims(outer)
        if not dims:
            return None
        axis = (axes[index] if index < len(axes) else 0) % len(dims)
        count = dims[axis]
        element_type = shapes.types[outer].tensor_type.elem_type
        inside.set(inner, element_type, (*dims[:axis], *dims[axis + 1 :]))
    return count


def enter_subgraph(graph: GraphProto, outer: Shapes, bounds: Bounds) -> tuple[Shapes, Bounds]:
    """Return the shapes that a subgraph knows: those around it and its own stored tensors."""
    shapes = Shapes(outer.opsets, outer.types, outer.values)
    inside = Bounds(bounds.types, bounds.most)
    for value in graph.input:  # may hide a name from outside
        for known in (shapes.types, shapes.values, inside.types, inside.most):
            known.pop(value.name, None)
    shapes.add_initializers(graph)
    return shapes, inside


def collect_inner_names(node: NodeProto) -> set[str]:
    """Return the names that the subgraphs of a node read."""
    names: set[str] = set()
    for _, graph in list_subgraphs(node):
        names.update(value.name for value in graph.output)
        for inner in graph.node:
            names.update(inner.input)
            names |= collect_inner_names(inner)
    return names
