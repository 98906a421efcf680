"""Refuse a graph that would allocate or run without bound, before any session is made.

A model file is semi-trusted input: this catches what a few bytes can be made to do, it is no
sandbox. Every tensor is bounded at batch 1, through subgraphs and local functions.
"""

from __future__ import annotations

from typing import NoReturn

import onnx
from onnx import GraphProto, ModelProto, NodeProto
from onnx.inliner import inline_local_functions

from onnxplain.core.errors import ModelError
from onnxplain.graph.shapes import (
    STANDARD_DOMAINS,
    ShapeMismatch,
    Shapes,
    count_elements,
    list_fed_inputs,
    list_subgraphs,
    read_declared_dims,
)

DOMAINS = (*STANDARD_DOMAINS, "com.microsoft", "com.microsoft.nchwc")
LARGEST_TENSOR = 2**28  # elements
LARGEST_LIVE = 2**32  # bytes of all tensors that live at one time
MOST_NODES = 100_000  # after local functions are put in place
MOST_TRIPS = 10_000  # of loops within loops, multiplied
# Sides tried for inputs that are open, until one fits what else the graph says.
SIZES = (224, 256, 299, 384, 192, 160, 128, 96, 64, 48, 32, 28)

# Operators whose output can be far larger than what goes in: its size has to be known.
GROWING = {
    "AffineGrid",
    "BlackmanWindow",
    "CenterCropPad",
    "Col2Im",
    "ConstantOfShape",
    "Expand",
    "ExpandDims",
    "EyeLike",
    "HammingWindow",
    "HannWindow",
    "MaxUnpool",
    "MelWeightMatrix",
    "OneHot",
    "Pad",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Range",
    "Resize",
    "STFT",
    "Tile",
    "Upsample",
}


def inline_functions(proto: ModelProto, name: str) -> ModelProto:
    """The model with its local functions put in place, so that all that it does is seen.

    Raises
    ------
    ModelError
        If it uses foreign operators, or functions that call themselves or multiply.
    """
    _check_functions(proto, name)
    return inline_local_functions(proto) if proto.functions else proto


def check_safety(proto: ModelProto, name: str) -> Shapes:
    """Check a model, and give the shapes that were found on the way.

    Parameters
    ----------
    proto : ModelProto
        A model that passes ONNX's own checker, after `inline_functions`; external tensors
        need not be loaded.
    name : str
        The file's name, for messages.

    Raises
    ------
    ModelError
        If it could allocate or run without bound.
    """
    open_sides = any(
        None in (read_declared_dims(one) or ())[1:] for one in list_fed_inputs(proto.graph)
    )
    sizes = SIZES if open_sides else SIZES[:1]
    for size in sizes:
        shapes = Shapes.of_inputs(proto, size=(size, size))
        walker = _Scan(name)
        try:
            walker.walk(proto.graph, shapes, trips=1)
        except ModelError:
            if not walker.misfits or size == sizes[-1]:
                raise
            continue
        if not walker.misfits:
            break
    return shapes


def _check_functions(proto: ModelProto, name: str) -> None:
    """Refuse foreign operators, functions that call themselves, and ones that multiply."""
    functions = {(one.domain, one.name): one for one in proto.functions}
    costs: dict[tuple[str, str], int] = {}

    def cost(nodes: list[NodeProto], calling: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in functions:
                if key in calling:
                    raise ModelError(f"{name}: the local function {node.op_type} calls itself")
                if key not in costs:
                    costs[key] = cost(list(functions[key].node), (*calling, key))
                total += costs[key]
            elif node.domain not in DOMAINS:
                raise ModelError(
                    f"{name}: uses the operator {node.domain}::{node.op_type}, which no standard "
                    f"ONNX runtime knows; export the model with standard operators only"
                )
            total += 1 + sum(cost(list(graph.node), calling) for _, graph in list_subgraphs(node))
        return total

    total = cost(list(proto.graph.node), ())
    for key, function in functions.items():
        cost(list(function.node), (key,))
    if total > MOST_NODES:
        raise ModelError(f"{name}: has {total} operators; at most {MOST_NODES} are accepted")


class _Scan:
    """A walk through a graph and its subgraphs that keeps count of bytes and trips."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.misfits = False  # whether some inputs did not go together

    def walk(self, graph: GraphProto, shapes: Shapes, trips: int) -> int:
        """Bound every tensor of a graph; the most bytes that live at one time."""
        last_use = _last_uses(graph)
        fed = {value.name for value in graph.input}
        stored = {tensor.name for tensor in graph.initializer}
        varies = fed - stored
        live, peak = 0, 0
        held: dict[str, int] = {}
        for index, node in enumerate(graph.node):
            inner = self._step(node, shapes, trips)
            for output in filter(None, node.output):
                held[output] = self._bounded(node, output, shapes)
                live += held[output]
            peak = max(peak, live + inner)
            if peak > LARGEST_LIVE:
                self._refuse(node, f"brings its tensors to {peak / 2**30:.0f} GiB at one time")
            uses = [*node.input, *node.output]
            if varies.intersection(node.input):
                varies.update(node.output)
            for used in uses:  # what is constant is folded, and stays
                if used in varies and last_use.get(used, index) <= index:
                    live -= held.pop(used, 0)
        return peak

    def _step(self, node: NodeProto, shapes: Shapes, trips: int) -> int:
        graphs = dict(list_subgraphs(node))
        if not graphs:
            try:
                shapes.step(node)
            except ShapeMismatch:
                self.misfits = True
            return 0
        if node.domain not in STANDARD_DOMAINS or node.op_type not in ("If", "Loop", "Scan"):
            self._refuse(node, "holds graphs of its own; only If, Loop and Scan may")
        if node.op_type == "Scan" and shapes.opsets.get("", 9) < 9:
            self._refuse(node, "is of opset 8, which counted otherwise")
        if node.op_type == "If":
            return self._if(node, graphs, shapes, trips)
        return self._loop(node, graphs["body"], shapes, trips)

    def _if(
        self, node: NodeProto, graphs: dict[str, GraphProto], shapes: Shapes, trips: int
    ) -> int:
        peak, found = 0, []
        for graph in graphs.values():
            inside = _inside(graph, shapes)
            peak = max(peak, self.walk(graph, inside, trips))
            found.append([(inside.types.get(o.name), inside.dims(o.name)) for o in graph.output])
        for name, one, other in zip(node.output, *found, strict=False):
            if one[0] is not None and one[1] == other[1]:
                shapes.types[name] = one[0]
        return peak

    def _loop(self, node: NodeProto, body: GraphProto, shapes: Shapes, trips: int) -> int:
        """A Loop or Scan: a known number of trips, and state that keeps its size."""
        inside = _inside(body, shapes)
        if node.op_type == "Loop":
            carried = list(node.input[2:])
            known = shapes.values.get(node.input[0])
            count = int(known.item()) if known is not None and known.size == 1 else None
            into = [value.name for value in body.input[2:]]
            out = [value.name for value in body.output[1:]]
            inside.set(body.input[0].name, onnx.TensorProto.INT64, ())
            inside.set(body.input[1].name, onnx.TensorProto.BOOL, ())
            sliced: list[str] = []
        else:
            scanned = next(a.i for a in node.attribute if a.name == "num_scan_inputs")
            axes = next((list(a.ints) for a in node.attribute if a.name == "scan_input_axes"), [])
            carried, sliced = (
                list(node.input[:-scanned]),
                list(node.input[-scanned:]),
            )
            into = [value.name for value in body.input]
            out = [value.name for value in body.output]
            count = self._slices(sliced, axes, into[len(carried) :], shapes, inside)
        if count is None or count * trips > MOST_TRIPS:
            what = "an unknown number" if count is None else str(count * trips)
            self._refuse(node, f"runs {what} of times; at most {MOST_TRIPS} are accepted")
        for outer, inner in zip(carried, into, strict=False):
            if outer in shapes.types:
                inside.types[inner] = shapes.types[outer]
        peak = self.walk(body, inside, trips * max(count, 1))
        for outer, final in zip(carried, out, strict=False):
            if inside.count(final) is None or inside.dims(final) != shapes.dims(outer):
                self._refuse(node, f"changes the size of its state {outer!r} from trip to trip")
        for index, (name, final) in enumerate(zip(node.output, out, strict=False)):
            dims = inside.dims(final)
            if name and dims is not None and count_elements(dims) is not None:
                element = inside.types[final].tensor_type.elem_type
                shapes.set(name, element, dims if index < len(carried) else (count, *dims))
        return peak

    def _slices(
        self, sliced: list[str], axes: list[int], into: list[str], shapes: Shapes, inside: Shapes
    ) -> int | None:
        """Declare the slices that a Scan works on; how many there are."""
        count = None
        for index, (outer, inner) in enumerate(zip(sliced, into, strict=False)):
            dims = shapes.dims(outer)
            if dims is None or not dims:
                return None
            axis = (axes[index] if index < len(axes) else 0) % len(dims)
            count = dims[axis]
            element = shapes.types[outer].tensor_type.elem_type
            inside.set(inner, element, (*dims[:axis], *dims[axis + 1 :]))
        return count

    def _bounded(self, node: NodeProto, output: str, shapes: Shapes) -> int:
        """Bytes of a new tensor, if it is not too large."""
        count = shapes.count(output)
        if count is None:
            if node.op_type in GROWING and output == node.output[0]:
                self._refuse(node, "makes a tensor whose size cannot be told before it runs")
            return 0
        if count > LARGEST_TENSOR:
            self._refuse(node, f"makes a tensor of {count} elements, more than {LARGEST_TENSOR}")
        return shapes.bytes(output) or 0

    def _refuse(self, node: NodeProto, why: str) -> NoReturn:
        called = f" {node.name!r}" if node.name else ""
        raise ModelError(f"{self.name}: the operator {node.op_type}{called} {why}; it is not run")


def _inside(graph: GraphProto, outer: Shapes) -> Shapes:
    """What a subgraph knows: all that is around it, and its own stored tensors."""
    shapes = Shapes(outer.opsets, outer.types, outer.values)
    for value in graph.input:  # may hide a name from outside
        shapes.types.pop(value.name, None)
        shapes.values.pop(value.name, None)
    shapes.add_initializers(graph)
    return shapes


def _last_uses(graph: GraphProto) -> dict[str, int]:
    """For each tensor, the last node of the graph that needs it, itself or in a subgraph."""
    last: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in node.input:
            last[name] = index
        for name in _names_inside(node):
            last[name] = index
    for value in graph.output:
        last[value.name] = len(graph.node)
    return last


def _names_inside(node: NodeProto) -> set[str]:
    names: set[str] = set()
    for _, graph in list_subgraphs(node):
        names.update(value.name for value in graph.output)
        for inner in graph.node:
            names.update(inner.input)
            names |= _names_inside(inner)
    return names
