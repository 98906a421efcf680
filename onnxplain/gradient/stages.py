"""The layers that stand for a whole resolution of a classifier, and the last one among them."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from onnxplain.core.data import Layer
from onnxplain.core.errors import ModelError
from onnxplain.gradient.grids import GridGraph
from onnxplain.gradient.receptive import find_widest_tensor
from onnxplain.gradient.tokens import drops_the_grid, find_last_norm
from onnxplain.graph.surgery import WEIGHT_INPUTS

JOINING = {"Add", "Concat", "QLinearAdd", "QLinearConcat", "Sum"}
POOLING = {"AveragePool", "MaxPool", "QLinearAveragePool"}
ROWS = {"Flatten", "Gemm", "MatMul", "QGemm", "QLinearMatMul", "Reshape", "Squeeze"}


def find_last(graph: GridGraph, n_classes: int) -> Layer:
    """Find the last layer with a grid of positions, where class evidence is read.

    Parameters
    ----------
    graph : GridGraph
        Of the classifier.
    n_classes : int
        Number of classes, which tells a stack of class maps.

    Raises
    ------
    ModelError
        If no tensor of the model has a grid of positions.
    """
    if not graph.cuts:
        return _find_without_cuts(graph)
    plain = graph.cuts[-1]
    if "T" in plain.axes:
        return _find_last_tokens(graph, plain)
    return _leave_class_maps(graph, _leave_pooling(graph, plain), n_classes)


def find_stages(graph: GridGraph, last: Layer) -> tuple[Layer, ...]:
    """Find one layer per resolution, in order, that of `find_last` at the end."""
    runs = [list(run) for _, run in groupby(graph.cuts, key=lambda layer: layer.grid)]
    place = graph.region.places[last.tensor]
    earlier = [_find_junction(graph, run) or run[-1] for run in runs if last not in run]
    before = [layer for layer in earlier if graph.region.places[layer.tensor] < place]
    return (*(layer for layer in before if layer.grid != last.grid), last)


def find_first(graph: GridGraph) -> Layer:
    """Find the output of the first convolution or other layer with weights that has a grid.

    Raises
    ------
    ModelError
        If there is none.
    """
    for node in graph.region.nodes:
        layer = graph.describe(node.output[0]) if node.op_type in WEIGHT_INPUTS else None
        if layer is not None:
            return layer
    raise ModelError("no layer with weights has a grid of positions")


def _find_junction(graph: GridGraph, run: list[Layer]) -> Layer | None:
    """Return the last junction of a resolution: where residual branches fork or join."""
    return next((layer for layer in reversed(run) if _is_junction(graph, layer.tensor)), None)


def _is_junction(graph: GridGraph, tensor: str) -> bool:
    region, cuts = graph.region, graph.region.cuts
    following = cuts.index(tensor) + 1
    if len(region.list_uses(tensor)) > 1 and following < len(cuts):
        joined = region.find_origin(cuts[following])
        if joined is not None and joined.op_type not in ("Mul", "QLinearMul"):  # of a gate
            return True
    maker = region.find_origin(tensor)
    if maker is None or maker.op_type in JOINING:
        return maker is not None
    inputs = [name for name in maker.input if name in region.places]
    before = {node.op_type for node in map(region.find_origin, inputs) if node is not None}
    is_activation = maker.op_type not in {*WEIGHT_INPUTS, *POOLING} and len(inputs) == 1
    return (
        is_activation
        and graph.dims.get(inputs[0]) == graph.dims.get(tensor)
        and bool(before & JOINING)
    )


def _leave_pooling(graph: GridGraph, layer: Layer) -> Layer:
    """Return the layer in front of a pooling whose result goes to a dense layer."""
    maker = graph.region.find_origin(layer.tensor)
    uses = {node.op_type for node in graph.region.list_uses(layer.tensor)}
    if maker is None or maker.op_type not in POOLING or not uses <= ROWS | POOLING:
        return layer
    before = _get_cut(graph, maker.input[0])
    if before is None:
        return layer
    note = f"in front of the pooling that makes {layer.tensor!r}"
    return replace(_leave_pooling(graph, before), note=note)


def _leave_class_maps(graph: GridGraph, layer: Layer, n_classes: int) -> Layer:
    """Return the last junction in place of a stack of class maps."""
    if layer.channels != n_classes or _has_weights_behind(graph, layer.tensor):
        return layer
    run = [cut for cut in graph.cuts if cut.grid == layer.grid]
    earlier = [cut for cut in run if cut.channels != n_classes]
    if not earlier:
        return layer
    note = f"in front of {layer.tensor!r}, which is a stack of class maps"
    return replace(_find_junction(graph, earlier) or earlier[-1], note=note)


def _has_weights_behind(graph: GridGraph, tensor: str) -> bool:
    place = graph.region.places[tensor]
    return any(node.op_type in WEIGHT_INPUTS for node in graph.region.nodes[place:])


def _get_cut(graph: GridGraph, tensor: str) -> Layer | None:
    return next((cut for cut in graph.cuts if cut.tensor == tensor), None)


def _find_last_tokens(graph: GridGraph, plain: Layer) -> Layer:
    """Return the last tokens that reach the scores: all of them, or those of a class token."""
    uses = graph.region.list_uses(plain.tensor)
    if not plain.prefix or not drops_the_grid(uses, plain, graph.dims, graph.batch):
        return plain
    cuts = [cut.tensor for cut in graph.cuts if "T" in cut.axes]
    tensor = find_last_norm(graph.region, cuts, graph.dims)
    layer = None if tensor is None else graph.describe(tensor)
    if layer is None:
        return plain
    note = "what the last attention reads, as only the class token leaves it"
    return replace(layer, note=note)


def _find_without_cuts(graph: GridGraph) -> Layer:
    layers = [graph.describe(name) for node in graph.region.nodes for name in node.output]
    maps = {layer.tensor: layer for layer in layers if layer is not None}
    name = find_widest_tensor(graph.region, maps, graph.dims)
    if name is None:
        raise ModelError(
            "no tensor of the model has a grid of positions; methods that look at layers do "
            "not apply; choose another, such as rise"
        )
    note = "no tensor with a grid carries the whole image: the widest view among those that do"
    return replace(maps[name], note=note)
