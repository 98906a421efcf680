"""The layers of a classifier that add a bias, with what they add.

A layer that is linear but for its bias gives the bias if it is given zeros. So the biases are
found by running the model once with zeros in front of every such layer. A normalisation, or any
product and sum with constants behind a layer that nothing else reads, counts as a part of the
layer: exporters merge them or do not, and the bias that is found is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, ValueInfoProto, numpy_helper

from onnxplain.core.data import Layer
from onnxplain.core.errors import ModelError
from onnxplain.gradient.cuts import STORING, Region
from onnxplain.gradient.facts import Feeds, Measure, read_real_type
from onnxplain.gradient.grids import GridGraph
from onnxplain.gradient.prepare import prepare
from onnxplain.graph.writer import GraphWriter

WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
ELEMENTWISE = {"Add", "BatchNormalization", "Div", "Mul", "Sub", "Sum"}
MOVING = {*STORING, "Transpose"}  # what the normalisation of an image may be mixed with


@dataclass(frozen=True, eq=False)
class Affine:
    """Nodes in a row that are linear in what they read, but for a bias.

    Parameters
    ----------
    source, end : str
        What they read of the image, and what they make.
    first : NodeProto
        The node that reads it.
    """

    source: str
    end: str
    first: NodeProto


def find_biased_layers(
    model: ModelProto, graph: GridGraph, measure: Measure, feeds: Feeds
) -> tuple[Layer, ...]:
    """Find the layers whose shares sum to the score, if it is piecewise linear.

    Parameters
    ----------
    model : ModelProto
        The classifier, with its weights inside.
    graph : GridGraph
        Of the same classifier.
    measure : Measure
        Runs models.
    feeds : mapping
        Any images that the model takes.

    Returns
    -------
    layers : tuple of Layer
        The image once it is normalised, without a bias; then every layer with a bias, in order.
        Those without a grid have one position.

    Raises
    ------
    ModelError
        If the image has no grid of positions.
    """
    region = graph.region
    normalised = follow_normalisation(region)
    image = graph.describe(normalised[-1])
    if image is None:
        raise ModelError(f"{normalised[-1]!r}, the image as layers read it, has no grid")
    groups = [group for group in list_affine(region) if group.end not in normalised]
    biases = _measure_biases(model, region.source, groups, measure, feeds)
    layers = [image]
    for name, bias in biases.items():
        layer = graph.describe(name) or _describe_without_grid(name, bias.shape)
        if layer is not None and bias.any():
            layers.append(replace(layer, bias=_shrink(layer.arrange(bias)[0])))
    return tuple(layers)


def follow_normalisation(region: Region) -> list[str]:
    """List the tensors from the image to what is left of it when constants have normalised it."""
    tensors = [region.source]
    while len(readers := region.consumers.get(tensors[-1], [])) == 1:
        (node,) = readers
        if node.op_type not in MOVING and not _is_elementwise(node, region):
            break
        tensors.append(node.output[0])
    return tensors


def list_affine(region: Region) -> list[Affine]:
    """List the parts of a graph that are linear but for a bias, in the order of their ends."""
    groups: dict[str, Affine] = {}
    for node in region.nodes:
        sources = [name for name in node.input if name in region.places]
        goes_on = sources[0] in groups and len(region.consumers[sources[0]]) == 1
        if node.op_type in WEIGHTED and len(sources) == 1:
            groups[node.output[0]] = Affine(sources[0], node.output[0], node)
        elif goes_on and (node.op_type in STORING or _is_elementwise(node, region)):
            groups[node.output[0]] = replace(groups.pop(sources[0]), end=node.output[0])
        elif _is_elementwise(node, region):
            groups[node.output[0]] = Affine(sources[0], node.output[0], node)
    return list(groups.values())


def _is_elementwise(node: NodeProto, region: Region) -> bool:
    """Whether a node multiplies one tensor by constants, or adds constants to it."""
    sources = [name for name in node.input if name in region.places]
    is_divisor = node.op_type == "Div" and sources[0] != node.input[0]
    return node.op_type in ELEMENTWISE and len(sources) == 1 and not is_divisor


def _measure_biases(
    model: ModelProto, source: str, groups: Sequence[Affine], measure: Measure, feeds: Feeds
) -> Mapping[str, NDArray[Any]]:
    """Return what each part makes of zeros, (1, ...), by the name of its end."""
    changed = prepare(model)
    graph = changed.graph
    zero = numpy_helper.from_array(np.zeros(1, read_real_type(graph, source)))
    firsts = {group.first.output[0]: group for group in groups}
    nodes = list(graph.node)
    del graph.node[:], graph.output[:]
    writer = GraphWriter(graph, prefix="zeros/")
    for node in nodes:
        group = firsts.get(node.output[0])
        if group is not None:
            zeros = writer.op("ConstantOfShape", writer.op("Shape", group.source), value=zero)
            names = [zeros if name == group.source else name for name in node.input]
            del node.input[:]
            node.input.extend(names)
        graph.node.append(node)
    graph.output.extend(ValueInfoProto(name=group.end) for group in groups)
    made = measure.run(changed.SerializeToString(), feeds)
    return {group.end: made[group.end][:1] for group in groups}


def _describe_without_grid(name: str, shape: tuple[int, ...]) -> Layer | None:
    """Describe rows of values, or maps of one position; None if the axes are not known."""
    if len(shape) not in (2, 4):
        return None
    grid = (shape[2], shape[3]) if len(shape) == 4 else (1, 1)
    return Layer(name, "NCHW"[: len(shape)], shape[1], grid)


def _shrink(bias: NDArray[Any]) -> NDArray[Any]:
    """Return a bias (C, h, w) as (C, 1, 1) if it is the same at all positions."""
    corner = bias[:, :1, :1]
    return corner.copy() if (bias == corner).all() else bias
