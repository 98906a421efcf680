"""Check that a graph allocates and runs within bounds, before any session is made.

A model file is semi-trusted input. This check stops small files that would use huge amounts
of memory or time, when a session is made (ONNX Runtime computes constants then) or run; it is
not a sandbox. The size of every tensor and the work of all nodes are bounded at batch 1, also
inside subgraphs.
"""

from __future__ import annotations

from typing import NoReturn

from onnx import GraphProto, ModelProto, NodeProto

from onnxplain.core.errors import ModelError
from onnxplain.graph.bounds import Bounds, count_work
from onnxplain.graph.inner_graphs import collect_inner_names, enter_loop, enter_scan, enter_subgraph
from onnxplain.graph.nodes import list_subgraphs, walk_nodes
from onnxplain.graph.shapes import (
    STANDARD_DOMAINS,
    ShapeMismatch,
    Shapes,
    count_elements,
    list_fed_inputs,
    read_declared_dims,
    read_type_dims,
)

LARGEST_INPUT = 2**25  # elements; 3344 x 3344 pixels of three colours
LARGEST_TENSOR = 2**28  # elements
LARGEST_LIVE = 2**32  # bytes of all tensors that live at one time
MOST_TRIPS = 10_000  # of nested loops, multiplied
MOST_SUBGRAPHS = 1_000
MOST_WORK = 2**42  # multiplications and additions; the largest classifiers have about 2^41
MOST_CONSTANT_WORK = 2**34  # what ONNX Runtime computes each time that a session is made
MOST_JOINS = 8  # of texts in all trips; each may double their length
MOST_STEPS = 200_000  # of nodes, for all sizes that are tried
# Sides tried for inputs of open size, until one of them fits the rest of the graph.
SIZES = (
    *(224, 256, 299, 384, 192, 160, 128, 96, 64, 48, 32, 28),
    *(448, 512, 518, 336, 240, 320, 331, 227, 416, 480, 640, 112, 100),
)


def check_safety(proto: ModelProto, name: str) -> Shapes:
    """Check that a model allocates and runs within bounds, and return its shapes at batch 1.

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
        None in (read_declared_dims(value) or ())[1:] for value in list_fed_inputs(proto.graph)
    )
    _check_counts(proto, name)
    tries = min(len(SIZES), max(1, MOST_STEPS // max(len(proto.graph.node), 1)))
    sizes = SIZES[:tries] if open_sides else SIZES[:1]
    for size in sizes:
        shapes = Shapes.of_inputs(proto, size=(size, size))
        scan = _Scan(name)
        try:
            scan.walk(proto.graph, shapes, Bounds(), trips=1)
        except ModelError:
            if not scan.has_misfits or size == sizes[-1]:
                raise
            continue
        if not scan.has_misfits:
            break
    return shapes


def _check_counts(proto: ModelProto, name: str) -> None:
    """Check the sizes of the inputs, and the number of subgraphs."""
    shapes = Shapes.of_inputs(proto)
    for value in list_fed_inputs(proto.graph):
        count = shapes.count(value.name)
        if count is not None and count > LARGEST_INPUT:
            raise ModelError(
                f"{name}: its input {value.name!r} has {count} elements, more than {LARGEST_INPUT}"
                f"; export the model for smaller images"
            )
    if (
        sum(1 for node in walk_nodes(proto.graph.node) for _ in list_subgraphs(node))
        > MOST_SUBGRAPHS
    ):
        raise ModelError(f"{name}: its If, Loop and Scan hold more than {MOST_SUBGRAPHS} graphs")


class _Scan:
    """A walk through a graph and its subgraphs that adds up bytes and multiplies trips."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.has_misfits = False  # whether the inputs of some node did not fit one another
        self.work = 0
        self.constant_work = 0
        self.joins = 0

    def walk(
        self,
        graph: GraphProto,
        shapes: Shapes,
        bounds: Bounds,
        trips: int,
        *,
        is_inner: bool = False,
    ) -> int:
        """Check the size of every tensor; return the most bytes that live at one time."""
        last_use = _find_last_uses(graph)
        fed = {value.name for value in graph.input}
        stored = {tensor.name for tensor in graph.initializer}
        varying = fed - stored
        live, peak = 0, 0
        held: dict[str, int] = {}
        for index, node in enumerate(graph.node):
            inner_peak = self._step(node, shapes, bounds, trips)
            for output in filter(None, node.output):
                held[output] = self._bound_bytes(node, output, shapes, bounds)
                live += held[output]
            varies = bool(varying & {*node.input, *collect_inner_names(node)})
            self._add_work(node, shapes, bounds, trips, is_constant=not varies and not is_inner)
            peak = max(peak, live + inner_peak)
            if peak > LARGEST_LIVE:
                self._refuse(node, f"brings its tensors to {peak / 2**30:.0f} GiB at one time")
            if varies:
                varying.update(node.output)
            for name in [*node.input, *node.output]:  # constants are folded, and stay
                if name in varying and last_use.get(name, index) <= index:
                    live -= held.pop(name, 0)
        return peak

    def _step(self, node: NodeProto, shapes: Shapes, bounds: Bounds, trips: int) -> int:
        """Add the shapes of a node's outputs; return the most bytes inside its subgraphs."""
        graphs = dict(list_subgraphs(node))
        if not graphs:
            try:
                shapes.step(node)
            except ShapeMismatch:
                self.has_misfits = True
            bounds.step(node, shapes)
            return 0
        if node.domain not in STANDARD_DOMAINS or node.op_type not in ("If", "Loop", "Scan"):
            self._refuse(node, "holds graphs of its own; only If, Loop and Scan may")
        if node.op_type == "Scan" and shapes.opsets.get("", 9) < 9:
            self._refuse(node, "is of opset 8, which counted otherwise")
        if node.op_type == "If":
            return self._walk_branches(node, graphs, shapes, bounds, trips)
        return self._walk_loop(node, graphs["body"], shapes, bounds, trips)

    def _walk_branches(
        self,
        node: NodeProto,
        graphs: dict[str, GraphProto],
        shapes: Shapes,
        bounds: Bounds,
        trips: int,
    ) -> int:
        """Walk both branches of an If; outputs of equal shape in both get that shape."""
        peak, branches = 0, []
        for graph in graphs.values():
            inside, inside_bounds = enter_subgraph(graph, shapes, bounds)
            peak = max(peak, self.walk(graph, inside, inside_bounds, trips, is_inner=True))
            branches.append(
                [
                    (
                        inside.types.get(value.name),
                        inside_bounds.dims(value.name, inside),
                        inside_bounds.count(value.name, inside),
                    )
                    for value in graph.output
                ]
            )
        for name, (first_type, *first), (_, *second) in zip(node.output, *branches, strict=False):
            dims, count = first
            if first_type is not None and first == second and dims == read_type_dims(first_type):
                shapes.types[name] = first_type
            elif count is not None and second[1] is not None:
                bounds.most[name] = max(count, second[1])
        return peak

    def _walk_loop(
        self, node: NodeProto, body: GraphProto, shapes: Shapes, bounds: Bounds, trips: int
    ) -> int:
        """Walk a Loop or Scan, whose number of trips is known and whose state keeps its size."""
        inside, inside_bounds = enter_subgraph(body, shapes, bounds)
        if node.op_type == "Loop":
            carried, inputs, outputs, count = enter_loop(node, body, shapes, inside)
        else:
            carried, inputs, outputs, count = enter_scan(node, body, shapes, inside)
        if count is None or count * trips > MOST_TRIPS:
            number = "an unknown number" if count is None else str(count * trips)
            self._refuse(node, f"runs {number} of times; at most {MOST_TRIPS} are accepted")
        for outer, inner in zip(carried, inputs, strict=False):
            if outer in shapes.types:
                inside.types[inner] = shapes.types[outer]
        peak = self.walk(body, inside, inside_bounds, trips * max(count, 1), is_inner=True)
        for outer, final in zip(carried, outputs, strict=False):
            if inside.count(final) is None or inside.dims(final) != shapes.dims(outer):
                self._refuse(node, f"changes the size of its state {outer!r} from trip to trip")
        for index, (name, final) in enumerate(zip(node.output, outputs, strict=False)):
            dims = inside.dims(final)
            if name and dims is not None and count_elements(dims) is not None:
                element_type = inside.types[final].tensor_type.elem_type
                shapes.set(name, element_type, dims if index < len(carried) else (count, *dims))
            elif name and (most := inside_bounds.count(final, inside)) is not None:
                bounds.most[name] = most * max(count, 1)
        return peak

    def _bound_bytes(self, node: NodeProto, output: str, shapes: Shapes, bounds: Bounds) -> int:
        """Return the most bytes of a new tensor; refuse it if it may be too large."""
        count = bounds.count(output, shapes)
        if count is None:
            self._refuse(node, "makes a tensor whose size cannot be told before it runs")
        if count > LARGEST_TENSOR:
            kind = "a tensor of" if shapes.count(output) == count else "a tensor of up to"
            self._refuse(node, f"makes {kind} {count} elements, more than {LARGEST_TENSOR}")
        return bounds.bytes(output, shapes)

    def _add_work(
        self, node: NodeProto, shapes: Shapes, bounds: Bounds, trips: int, *, is_constant: bool
    ) -> None:
        """Add what a node computes in all trips; refuse it if it is too much."""
        work = trips * count_work(node, shapes, bounds)
        self.work += work
        self.constant_work += work if is_constant else 0
        self.joins += trips if node.op_type == "StringConcat" else 0
        if self.joins > MOST_JOINS:
            self._refuse(node, f"joins texts; at most {MOST_JOINS} times are accepted")
        times = f" in {trips} trips" if trips > 1 else ""
        for kind, total, most in (
            ("work", self.work, MOST_WORK),
            ("work on constants", self.constant_work, MOST_CONSTANT_WORK),
        ):
            if total > most:
                self._refuse(
                    node,
                    f"brings the {kind}{times} to {total:.0e} multiplications, more than "
                    f"{most:.0e}",
                )

    def _refuse(self, node: NodeProto, reason: str) -> NoReturn:
        label = f" {node.name!r}" if node.name else ""
        raise ModelError(f"{self.name}: the operator {node.op_type}{label} {reason}; it is not run")


def _find_last_uses(graph: GraphProto) -> dict[str, int]:
    """Return, per tensor, the index of the last node that needs it, itself or in a subgraph."""
    last: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in node.input:
            last[name] = index
        for name in collect_inner_names(node):
            last[name] = index
    for value in graph.output:
        last[value.name] = len(graph.node)
    return last
