"""A gradient graph that goes on to the heatmap: the explainer as one graph.

Behind the values and gradients that a method looks at stands its formula; where the method looks
at a path of images, the path is made in front, with the points of one image one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from onnxplain.core.data import GREY, Layer, Size
from onnxplain.core.formulas import ClosedForm
from onnxplain.core.spec import Layout
from onnxplain.gradient.backward import gradient_name
from onnxplain.gradient.declare import BATCH
from onnxplain.gradient.facts import read_real_type
from onnxplain.gradient.heads import TARGET
from onnxplain.gradient.paths import prune
from onnxplain.gradient.prepare import read_opset
from onnxplain.gradient.refusal import check_names_are_free
from onnxplain.graph.formula_writer import GraphOps, Tensor
from onnxplain.graph.names import collect_tensor_names, rename_uses
from onnxplain.graph.opsets import lower_opset
from onnxplain.graph.writer import GraphWriter
from onnxplain.masks.enlarge import make_bilinear_matrix

HEATMAP = "heatmap"
EXPLAINER = "onnxplain.explainer"  # key of its metadata
OPSET = 18  # the newest that runtimes of some age know
PATH_ROWS = "N points"  # the rows of a graph between its images and its heatmaps
FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Sight:
    """What a method looks at, and how images enter the graph.

    Parameters
    ----------
    form : ClosedForm
        What it makes of it.
    input, output : str
        Names of the model's image and of its scores.
    size : (rows, columns)
        Size of the image.
    layers : tuple of Layer
        The layer that it looks at, or the attention of all blocks; none for the image.
    layout : {'nchw', 'nhwc'}
        Order of the axes of images.
    is_grey : bool
        Whether the graph takes grey images.
    gain : tuple of float
        What a pixel is multiplied by when it enters the graph, per channel.
    baseline : (1, ...) ndarray, optional
        The fill, as images enter the graph.
    """

    form: ClosedForm
    input: str
    output: str
    size: Size
    layers: tuple[Layer, ...] = ()
    layout: Layout = "nchw"
    is_grey: bool = False
    gain: tuple[float, ...] = (1.0, 1.0, 1.0)
    baseline: NDArray[Any] | None = None


def build_explainer(gradient: bytes, sight: Sight, facts: str = "") -> bytes:
    """Build the graph of a method from the gradient graph of what it looks at.

    Parameters
    ----------
    gradient : bytes
        From `onnxplain.gradient.build_gradient`, with the layer among its tensors.
    sight : Sight
        What the method looks at.
    facts : str
        What the file should say of itself, under `EXPLAINER` in its metadata.

    Returns
    -------
    explainer : bytes
        Inputs: the model's and ``target`` (N,) of int64. Outputs: the model's scores, and
        ``heatmap`` (N, H, W). It is of opset 18 or older, unless the model has an operator that
        is newer.

    Raises
    ------
    GradientError
        If the model has a tensor of that name.
    """
    model = ModelProto.FromString(gradient)
    graph = model.graph
    check_names_are_free(collect_tensor_names(graph), (HEATMAP,))
    dtype = read_real_type(graph, sight.input)
    points = _spread_over_path(model, sight, dtype) if len(sight.form.path) > 1 else 1
    ops = GraphOps(GraphWriter(graph, prefix=f"{HEATMAP}/"), read_opset(model), dtype)
    if sight.form.follow is not None:
        maps = _follow_attention(ops, sight)
    elif not sight.layers:
        grads = ops.tensor(gradient_name(sight.input))
        if points > 1:
            grads = _average_over_path(ops, grads, sight, points)
        maps = sight.form.formula.express(ops, *_read_image(ops, grads, sight))
    else:
        maps = _express(ops, sight, sight.layers[0])
    shown = ops.relu(maps) if sight.form.relu else maps
    if sight.layers:
        (first, *_) = sight.layers
        grid = first.tokens.grid if first.tokens else first.grid
        shown = _enlarge(ops, shown, grid, sight.size)
    heatmap = ops.shape("Squeeze", shown, [1])
    _set_outputs(model, sight, heatmap, dtype)
    lower_opset(model, OPSET, dtype)
    model.metadata_props.add(key=EXPLAINER, value=facts)
    content: bytes = model.SerializeToString()
    return content


def _set_outputs(model: ModelProto, sight: Sight, heatmap: Tensor, dtype: np.dtype[Any]) -> None:
    """Keep the scores as an output, add the heatmap, and drop what neither depends on."""
    graph = model.graph
    scores = next(value for value in graph.output if value.name == sight.output)
    image = next(value for value in graph.input if value.name == sight.input)
    first = image.type.tensor_type.shape.dim[0]
    rows = first.dim_value or first.dim_param or None
    del graph.output[:]
    graph.output.append(scores)
    GraphWriter(graph).add_output(HEATMAP, dtype, [rows, *sight.size], source=heatmap.name)
    prune(graph)
    made = {name for node in graph.node for name in node.output}
    declared = [value for value in graph.value_info if value.name in made]
    del graph.value_info[:]
    graph.value_info.extend(declared)


def _express(ops: GraphOps, sight: Sight, layer: Layer) -> Tensor:
    """Write the formula of a layer: (N, 1, rows, columns)."""
    slopes = gradient_name(layer.tensor)
    has_slopes = any(slopes in node.output for node in ops.graph.node)
    values = _arrange(ops, ops.tensor(layer.tensor), layer)
    grads = _arrange(ops, ops.tensor(slopes), layer) if has_slopes else None
    written: Tensor = sight.form.formula.express(ops, values, grads)
    return written


def _follow_attention(ops: GraphOps, sight: Sight) -> Tensor:
    """Write what the scores read of each patch: (N, 1, rows, columns)."""
    tokens = sight.layers[0].tokens
    assert tokens is not None
    assert sight.form.follow is not None
    blocks = [_express(ops, sight, layer) for layer in sight.layers]
    read = ops.store(tokens.begin(sight.layers[0].grid[0]))
    joint = sight.form.follow(ops, blocks, read)
    patches = ops.shape("Slice", joint, [tokens.prefix], [FAR], [3])
    return ops.shape("Reshape", patches, [-1, 1, *tokens.grid])


def _arrange(ops: GraphOps, x: Tensor, layer: Layer) -> Tensor:
    """Write what `Layer.arrange` does: (N, C, rows, columns)."""
    axes = layer.axes
    if axes[0] == "B":
        axes = f"NC{axes[1:]}"
        x = ops.shape("Reshape", x, [-1, *layer.shape])
    order = "NCT" if "T" in axes else "NCHW"
    if axes != order:
        x = ops.write("Transpose", x, perm=[axes.index(axis) for axis in order])
    if "T" not in layer.axes:
        return x
    if layer.prefix:
        x = ops.shape("Slice", x, [layer.prefix], [FAR], [2])
    return ops.shape("Reshape", x, [-1, *layer.shape])


def _read_image(ops: GraphOps, grads: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
    """Write the difference from the fill, and the gradient, by pixels: (N, 3, H, W).

    Colours stay in the order of the model, which no formula can tell.
    """
    gain = np.reshape(sight.gain, (1, -1, 1, 1))
    weights = gain * GREY.reshape(1, 3, 1, 1) if sight.is_grey else gain
    slopes = _put_channels_second(ops, grads, sight) * ops.store(weights)
    if sight.baseline is None:
        return ops.store(0.0), slopes
    delta = ops.tensor(sight.input) - ops.store(sight.baseline)
    # The colours of a grey image are not known; three equal ones have the same grey.
    return _put_channels_second(ops, delta, sight) / ops.store(gain), slopes


def _put_channels_second(ops: GraphOps, x: Tensor, sight: Sight) -> Tensor:
    return x if sight.layout == "nchw" else ops.write("Transpose", x, perm=[0, 3, 1, 2])


def _enlarge(ops: GraphOps, maps: Tensor, grid: Size, size: Size) -> Tensor:
    """Write the bilinear enlargement, with the centres of cells at half-integers.

    Two products of matrices do it: Resize rounds sizes that it computes from scales, and takes
    whole shapes before opset 18.
    """
    down, across = (make_bilinear_matrix(*sides) for sides in zip(grid, size, strict=True))
    return ops.write("MatMul", ops.write("MatMul", ops.store(down), maps), ops.store(across.T))


def _spread_over_path(model: ModelProto, sight: Sight, dtype: np.dtype[Any]) -> int:
    """Put the points between fill and image in front of a graph, and return how many there are.

    The image itself comes last, and its scores are those that the graph returns.
    """
    assert sight.baseline is not None
    graph = model.graph
    places = [*(place for place, _ in sight.form.path), 1.0]
    points, shape = len(places), sight.baseline.shape[1:]
    for value in graph.value_info:
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_param == BATCH:
            dims[0].dim_param = PATH_ROWS
    front = GraphWriter(graph, prefix="path/", at=0)
    inner = {name: front.find_name(f"path/{name}") for name in (sight.input, TARGET, sight.output)}
    for name, new in inner.items():
        rename_uses(graph.node, name, new)
    for node in graph.node:
        if sight.output in node.output:
            node.output[list(node.output).index(sight.output)] = inner[sight.output]
    ops = GraphOps(front, read_opset(model), dtype)
    image = ops.tensor(sight.input)
    # From the image towards the fill, so that the last point is the image to the last bit.
    shares = 1 - np.reshape(places, (1, points, 1, 1, 1))
    back = ops.shape("Unsqueeze", ops.store(sight.baseline) - image, [1])
    path = ops.shape("Unsqueeze", image, [1]) + ops.store(shares) * back
    rows = ops.shape("Reshape", path, [-1, *shape])
    front.op("Identity", rows.name, out=inner[sight.input])
    column = ops.shape("Unsqueeze", ops.tensor(TARGET), [1])
    repeated = front.op("Add", column.name, front.store(np.zeros((1, points), np.int64)))
    front.op("Identity", ops.shape("Reshape", ops.tensor(repeated), [-1]).name, out=inner[TARGET])
    back_end = GraphWriter(graph, prefix="path/")
    last = GraphOps(back_end, read_opset(model), dtype)
    every = last.shape(
        "Slice", last.tensor(inner[sight.output]), [points - 1], [FAR], [0], [points]
    )
    back_end.op("Identity", every.name, out=sight.output)
    return points


def _average_over_path(ops: GraphOps, grads: Tensor, sight: Sight, points: int) -> Tensor:
    """Write the weighted mean of the gradients at the points of each image."""
    assert sight.baseline is not None
    weights = [*(weight for _, weight in sight.form.path), 0.0]
    apart = ops.shape("Reshape", grads, [-1, points, *sight.baseline.shape[1:]])
    weighted = apart * ops.store(np.reshape(weights, (1, points, 1, 1, 1)))
    return ops.shape("Reshape", ops.sum(weighted, [1]), [-1, *sight.baseline.shape[1:]])
