"""The layers of a classifier, and the names that choose among them.

===============  ================================================================
name             layer
===============  ================================================================
``last``         the last cut with a grid of positions, where class evidence is read
``before-last``  the layer of the resolution before the last, if there are several
``stage:2``      the last junction of the second resolution
``stages``       the layer of every resolution
``first``        the output of the first convolution
a tensor         that tensor, or the first output of the node of that name
``biases``       the image as it is normalised, and every layer with a bias: of FullGrad
``attention``    the attention weights of every layer of a transformer
``weights:``     and any of these: the input and the output of the last convolution up to it
a glob           all tensors with a grid whose names match, such as ``*/Relu_output_0``
===============  ================================================================

A name may end in ``@14x14``: the rows and columns of the grid of a tensor of tokens.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import final

from onnx import ModelProto, NodeProto

from onnxplain.core.data import Kernel, Layer, Size
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient.grids import GridGraph
from onnxplain.gradient.node import read_node
from onnxplain.gradient.rules.convolution import read_window
from onnxplain.gradient.stages import find_first, find_last, find_stages

WEIGHTS = "weights:"  # in front of a name: a convolution, by its input and output
HINT = "choose last, stage:1, stages, first, or a name that onnxplain layers shows"
SUFFIX = re.compile(r"@(\d+)x(\d+)$")


def split_grid(name: str) -> tuple[str, Size | None]:
    """Split a name of layers from the grid behind it, if there is one.

    >>> split_grid("normed@14x14"), split_grid("last")
    (('normed', (14, 14)), ('last', None))
    """
    given = SUFFIX.search(name)
    if given is None:
        return name, None
    return name[: given.start()], (int(given[1]), int(given[2]))


@final
class LayerFinder:
    """Finds the layers of a classifier by their names.

    Parameters
    ----------
    graph : GridGraph
        Of the classifier.
    n_classes : int
        Number of classes, which tells a stack of class maps.
    """

    def __init__(self, graph: GridGraph, n_classes: int) -> None:
        self.graph = graph
        self._n_classes = n_classes

    @classmethod
    def of(cls, model: ModelProto, spec: ModelSpec) -> LayerFinder:
        """Make the finder of a model that is described."""
        graph = GridGraph(
            model,
            input=spec.input,
            output=spec.output,
            size=spec.size,
            channels_last=spec.layout == "nhwc",
        )
        return cls(graph, len(spec.class_names))

    @cached_property
    def last(self) -> Layer:
        """The default layer.

        Raises
        ------
        ModelError
            If no tensor of the model has a grid of positions.
        """
        return find_last(self.graph, self._n_classes)

    @cached_property
    def stages(self) -> tuple[Layer, ...]:
        """One layer per resolution, in order; the last one is the default."""
        return find_stages(self.graph, self.last)

    def find(self, name: str) -> tuple[Layer, ...]:
        """Find the layers that a name chooses, in the order of the graph.

        Raises
        ------
        ModelError
            If there is no such layer, or it has no grid of positions.
        """
        name, region = name.strip(), self.graph.region
        if name == "last":
            return (self.last,)
        if name == "stages":
            return self.stages
        if name == "first":
            return (find_first(self.graph),)
        if name == "before-last":
            return (self.stages[-2:][0],)
        if name.startswith("stage:"):
            return (self._find_stage(name),)
        if name.startswith(WEIGHTS) and name not in self.graph.dims:
            return self._find_convolution(name)
        plain, grid = split_grid(name)
        if grid is not None and name not in self.graph.dims:
            return (self._find_tensor(plain, grid),)
        if name in region.places or not set("*?") & set(name):
            return (self._find_tensor(name),)
        tensors = [tensor for tensor in region.places if fnmatchcase(tensor, name)]
        layers = (self.graph.describe(tensor) for tensor in tensors)
        found = tuple(layer for layer in layers if layer is not None)
        if not found:
            raise ModelError(f"no tensor with a grid of positions matches {name!r}; {HINT}")
        return found

    def list_named(self) -> list[tuple[Layer, str, tuple[str, ...]]]:
        """List the cuts and the default layer with their operators and names, in order.

        Raises
        ------
        ModelError
            If the model has no layers.
        """
        last, stages = self.last, self.stages
        layers = {layer.tensor: layer for layer in (*self.graph.cuts, *stages, last)}
        names: dict[str, list[str]] = {name: [] for name in layers}
        names[last.tensor].append("last")
        for number, stage in enumerate(stages, start=1):
            names[stage.tensor].append(f"stage:{number}")
        places, makers = self.graph.region.places, self.graph.region.producers
        ordered = sorted(layers, key=lambda name: places[name])
        return [(layers[name], makers[name].op_type, tuple(names[name])) for name in ordered]

    def _find_stage(self, name: str) -> Layer:
        text, n = name.removeprefix("stage:"), len(self.stages)
        if not text.isdecimal() or not 1 <= int(text) <= n:
            raise ModelError(f"the model has the stages 1 to {n}, got {name!r}")
        return self.stages[int(text) - 1]

    def _find_convolution(self, name: str) -> tuple[Layer, Layer]:
        """Find the input and the output of the last convolution up to a layer."""
        last, region = self.find(name.removeprefix(WEIGHTS))[-1], self.graph.region
        for node in reversed(region.nodes[: region.places[last.tensor]]):
            source, output = self.graph.describe(node.input[0]), self.graph.describe(node.output[0])
            is_inner = node.input[0] != region.source
            if node.op_type == "Conv" and source and output and is_inner:
                return source, replace(output, kernel=self._read_kernel(node, source, output))
        raise ModelError(
            f"there is no convolution of inner values up to {last.tensor!r}, which {name!r} asks "
            f"for; choose a later one, such as weights:last"
        )

    def _read_kernel(self, node: NodeProto, source: Layer, output: Layer) -> Kernel:
        read = read_node(node)
        held = [int(side or 0) for side in (self.graph.dims[node.input[1]] or ())[2:]]
        window = read_window(read, held, source.grid, output.grid)
        parts = (window.kernel, window.strides, window.dilations, window.before)
        sides, strides, dilations, before = ((int(rows), int(columns)) for rows, columns in parts)
        return Kernel(sides, strides, dilations, before, int(read.attributes.get("group", 1)))

    def _find_tensor(self, name: str, grid: Size | None = None) -> Layer:
        tensor, region = name, self.graph.region
        if name not in region.places:
            nodes: dict[str, NodeProto] = {node.name: node for node in region.nodes}
            if not name or name not in nodes:
                raise ModelError(self._describe_unknown(name))
            tensor = nodes[name].output[0]
        layer = self.graph.describe(tensor, grid)
        if layer is None:
            dims = self.graph.dims.get(tensor)
            tokens = f", or give the grid of its tokens as {name}@14x14"
            raise ModelError(
                f"layer {name!r} has no grid of positions: its shape is {dims}"
                f"{' and not of the grid that was given' if grid else ''}; {HINT}"
                f"{tokens if dims is not None and len(dims) == 3 else ''}"
            )
        if grid not in (None, layer.grid):
            raise ModelError(
                f"layer {name!r} has a grid of {layer.grid[0]} x {layer.grid[1]} positions of its "
                f"own, and {grid[0]} x {grid[1]} was given; leave out the grid"
            )
        return layer

    def _describe_unknown(self, name: str) -> str:
        region = self.graph.region
        known = [*region.places, *(node.name for node in region.nodes)]
        near = difflib.get_close_matches(name, dict.fromkeys(known), n=3, cutoff=0)
        return (
            f"the model has no layer {name!r} between image and scores; the nearest names are "
            f"{', '.join(map(repr, near))}; {HINT}"
        )
