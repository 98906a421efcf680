"""The attention of a transformer: with which weights its tokens read each other, layer by layer.

Attention weights come from a softmax and multiply values in a product of matrices. Methods that
follow them from the scores back to the patches need one such softmax per block, over all tokens,
with nothing beside it. Where a model is built in another way, the error says how.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from onnx import NodeProto

from onnxplain.core.data import Layer, Size, Tokens
from onnxplain.core.errors import ModelError
from onnxplain.core.inside import ATTENTION
from onnxplain.gradient.cuts import Region
from onnxplain.gradient.grids import MOST_PREFIX, GridGraph
from onnxplain.gradient.layers import split_grid
from onnxplain.gradient.node import Node, read_node
from onnxplain.gradient.stops import find_softmax, find_stops
from onnxplain.gradient.tokens import FUSED

OTHERS = "choose a method that does not follow attention, such as grad-cam, cp-lrp or gradient"


def names_attention(name: str) -> bool:
    """Return whether a name of layers asks for attention: ``attention``, ``attention@14x14``."""
    return split_grid(name.strip())[0] == ATTENTION


def find_attention(graph: GridGraph, name: str = ATTENTION) -> tuple[Layer, ...]:
    """Find the attention weights of every block, in order.

    Parameters
    ----------
    graph : GridGraph
        Of the classifier.
    name : str
        ``attention``, or with the grid of the patches behind it, ``attention@14x14``.

    Returns
    -------
    layers : tuple of Layer
        The channels are heads, the rows the tokens that read, the columns those that are read.

    Raises
    ------
    ModelError
        If the model has no attention, or none that can be followed from the scores to patches.
    """
    region = graph.region
    weights = _list_weights(region)
    if not weights:
        hidden = next((node for node in region.nodes if node.op_type in FUSED), None)
        raise ModelError(
            "the model has no attention: no softmax multiplies values in a product of matrices; "
            f"{OTHERS}"
            if hidden is None
            else f"node {hidden.name!r} ({hidden.domain}::{hidden.op_type}) hides its attention "
            f"weights; take the file from before an optimiser fused them"
        )
    layers = [_describe(graph, node) for node in weights]
    n_tokens = layers[0].grid[0]
    for layer in layers:
        if layer.grid[0] != n_tokens:
            raise ModelError(
                f"the attention {layer.tensor!r} is of {layer.grid[0]} tokens, and the first one "
                f"of {n_tokens}: tokens are merged on the way, and cannot be followed; {OTHERS}"
            )
    _check_is_chain(region, [layer.tensor for layer in layers])
    _, grid = split_grid(name.strip())
    tokens = _find_tokens(graph, layers, grid)
    return tuple(replace(layer, tokens=tokens) for layer in layers)


def _list_weights(region: Region) -> list[NodeProto]:
    """List the softmaxes whose results weigh values, in order."""
    stops = find_stops(region)
    named = [name for name, kind in stops.items() if kind == "attention"]
    found = (find_softmax(region, name) for name in named)
    makers = {node.output[0]: node for node in found if node is not None}
    return sorted(makers.values(), key=lambda node: region.places[node.output[0]])


def _describe(graph: GridGraph, node: NodeProto) -> Layer:
    """Describe attention weights (N, heads, T, T), or (N heads, T, T)."""
    name = node.output[0]
    dims = graph.dims.get(name)
    if not dims or None in dims:
        raise ModelError(
            f"the shape of the attention weights {name!r} is not known from the file; simplify it "
            f"with onnxsim, or export the model with torch.onnx.export(dynamo=True)"
        )
    sizes = [int(dim or 0) for dim in dims]
    axis = read_node(node).attributes.get("axis", -1) % len(sizes)
    if len(sizes) < 3 or axis < len(sizes) - 2:
        raise ModelError(
            f"the attention weights {name!r} are of shape {tuple(sizes)}, with the softmax along "
            f"axis {axis}, which is none of the usual forms; {OTHERS}"
        )
    *rows, first, second = sizes
    by_batch = rows[0] == graph.batch if len(rows) == 2 else not rows[0] % graph.batch
    if len(rows) > 2 or not by_batch:
        raise ModelError(
            f"the attention weights {name!r} are of shape {tuple(sizes)}: tokens attend within "
            f"windows or groups, and what one window reads of another is not defined; {OTHERS}"
        )
    if first != second:
        raise ModelError(
            f"the attention weights {name!r} are of shape {tuple(sizes)}: the tokens that read "
            f"are not those that are read, as where keys are pooled or a query pools tokens; "
            f"{OTHERS}"
        )
    ends = "HW" if axis == len(sizes) - 1 else "WH"
    if len(rows) == 2:
        return Layer(name, f"NC{ends}", rows[1], (first, first), is_cut=False)
    return Layer(name, f"B{ends}", rows[0] // graph.batch, (first, first), is_cut=False)


def _check_is_chain(region: Region, tensors: Sequence[str]) -> None:
    """Raise an error if some attention stands beside another, and not before or behind it."""
    cuts = [region.places[name] for name in region.cuts]
    for before, behind in pairwise(tensors):
        if not any(region.places[before] < place < region.places[behind] for place in cuts):
            raise ModelError(
                f"the attention {behind!r} does not follow on {before!r} alone: no tensor between "
                f"them carries the whole image; {OTHERS}"
            )


def _find_tokens(graph: GridGraph, layers: Sequence[Layer], grid: Size | None) -> Tokens:
    """Find which tokens are patches, and which the scores read."""
    n_tokens = layers[0].grid[0]
    maps = graph.find_maps_before(layers[0].tensor)
    rows, columns = grid or (maps.grid if maps else (0, 0))
    prefix = n_tokens - rows * columns
    if not rows or not 0 <= prefix <= MOST_PREFIX:
        found = f"{rows} x {columns} patches" if rows else "no patches"
        raise ModelError(
            f"{n_tokens} tokens attend to each other, and {found} were found in front of them; if "
            f"there is a token for each patch, give their grid, as {ATTENTION}@14x14; else {OTHERS}"
        )
    last = graph.region.places[layers[-1].tensor]
    for name in reversed(graph.region.cuts):
        outputs = graph.describe(name, (rows, columns))
        is_behind = graph.region.places[name] > last
        if is_behind and outputs and "T" in outputs.axes and outputs.prefix == prefix:
            axis = outputs.axes.index("T")
            read = _find_read(graph, name, axis, n_tokens, n_tokens - prefix)
            return Tokens((rows, columns), prefix, read)
    raise ModelError(
        f"behind the last attention, no tensor of {n_tokens} tokens carries the whole image; "
        f"{OTHERS}"
    )


def _find_read(
    graph: GridGraph, name: str, axis: int, n_tokens: int, n_patches: int
) -> tuple[int, int]:
    """Find the tokens of whose outputs the scores are made.

    Where a class token is read beside the mean of the others, it counts alone.
    """
    picked = [
        taken
        for node in graph.region.list_uses(name)
        for taken in _pick(graph, read_node(node), axis, n_tokens)
    ]
    single = [taken for taken in picked if taken[1] - taken[0] < n_patches]
    starts, stops = zip(*(single or picked), strict=True)
    return min(starts), max(stops)


def _pick(graph: GridGraph, node: Node, axis: int, n: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of tokens that a node takes; all of them unless it picks some."""
    values = [graph.values.get(name) for name in node.inputs[1:]]
    along = node.attributes.get("axis", 0) % 3
    if node.operator == "Gather" and along == axis and values[0] is not None:
        for index in values[0].ravel() % n:
            yield int(index), int(index) + 1
    elif node.operator == "Slice" and all(value is not None for value in values):
        starts, stops, *others = (list(map(int, value)) for value in values if value is not None)
        axes = others[0] if others else range(len(starts))
        for start, stop, along in zip(starts, stops, axes, strict=True):
            start, stop, _ = slice(start, stop).indices(n)
            yield (start, stop) if along % 3 == axis else (0, n)
    elif node.operator == "Split" and along == axis and values and values[0] is not None:
        start = 0
        for output, size in zip(node.outputs, map(int, values[0]), strict=True):
            if output in graph.region.consumers:
                yield start, start + size
            start += size
    else:
        yield 0, n
