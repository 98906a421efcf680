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
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import groupby
from typing import Any, final

from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from onnxplain.core.data import Kernel, Layer, Size
from onnxplain.core.errors import ModelError
from onnxplain.gradient.axes import LAST, find_channel_axis
from onnxplain.gradient.cuts import SIZES, find_region
from onnxplain.gradient.fused import expand_attention
from onnxplain.gradient.node import read_node
from onnxplain.gradient.receptive import find_widest_tensor
from onnxplain.gradient.rules.convolution import read_window
from onnxplain.gradient.tokens import drops_the_grid, find_last_norm
from onnxplain.graph.nodes import collect_reads
from onnxplain.graph.shapes import Dims, ShapeMismatch, Shapes
from onnxplain.graph.surgery import WEIGHT_INPUTS

JOINING = {"Add", "Concat", "QLinearAdd", "QLinearConcat", "Sum"}
POOLING = {"AveragePool", "MaxPool", "QLinearAveragePool"}
ROWS = {"Flatten", "Gemm", "MatMul", "QGemm", "QLinearMatMul", "Reshape", "Squeeze"}
MOST_PREFIX = 32  # tokens in front of the grid: a class token, a distillation token, registers
WEIGHTS = "weights:"  # in front of a name: a convolution, by its input and output
SUFFIX = re.compile(r"@(\d+)x(\d+)$")


@final
class LayerFinder:
    """Finds the layers of a classifier.

    Parameters
    ----------
    model : ModelProto
        With its nodes in order; weights may lie in other files. Every Attention is written out.
    input, output : str
        Names of its image and its scores.
    size : (rows, columns)
        Size of the image.
    n_classes : int
        Number of classes, which tells a stack of class maps.
    channels_last : bool
        Whether the image's channels are its last axis.
    """

    def __init__(
        self,
        model: ModelProto,
        *,
        input: str,
        output: str,
        size: Size,
        n_classes: int,
        channels_last: bool = False,
    ) -> None:
        model = expand_attention(model)
        self.region = find_region(model.graph, input, output)
        self._n_classes = n_classes
        self.channels_last = channels_last
        self._size = size
        self._model = model

    @cached_property
    def _shapes(self) -> Shapes:
        """The shapes at batch 1, or at the batch that the model declares."""
        shapes = Shapes.of_inputs(self._model, size=self._size)
        for node in self._model.graph.node:
            try:
                shapes.step(node)
            except ShapeMismatch:  # its outputs are unknown, and no layers
                continue
        return shapes

    @cached_property
    def batch(self) -> int:
        """The number of images that the shapes are of: 1, or the only one that the model takes."""
        return int((self.dims[self.region.source] or (1,))[0] or 1)

    @cached_property
    def dims(self) -> Mapping[str, Dims | None]:
        """The dimensions of every tensor, as far as they are known."""
        return {name: self._shapes.dims(name) for name in self._shapes.types}

    def is_real(self, tensor: str) -> bool:
        """Whether a tensor holds float32."""
        known = self._shapes.types.get(tensor)
        return known is not None and known.tensor_type.elem_type == TensorProto.FLOAT

    def find_sized(self) -> set[str]:
        """Find the tensors that are computed from how large others are."""
        sized: set[str] = set()
        for node in self._model.graph.node:
            if node.op_type in SIZES or sized & collect_reads(node):
                sized.update(filter(None, node.output))
        return sized

    @property
    def values(self) -> Mapping[str, NDArray[Any]]:
        """The values of small tensors that are known without an image."""
        return self._shapes.values

    @cached_property
    def cuts(self) -> tuple[Layer, ...]:
        """All cuts with a grid of positions behind the first layer with weights, in order."""
        weighted = (node for node in self.region.nodes if node.op_type in WEIGHT_INPUTS)
        first = next(weighted, None)
        start = 1 if first is None else self.region.places[first.output[0]]
        behind = [name for name in self.region.cuts if self.region.places[name] >= start]
        found = (self.describe(name) for name in behind)
        return tuple(layer for layer in found if layer is not None)

    @cached_property
    def stages(self) -> tuple[Layer, ...]:
        """One layer per resolution, in order; the last one is the default."""
        runs = [list(run) for _, run in groupby(self.cuts, key=lambda layer: layer.grid)]
        last = self.last
        place = self.region.places[last.tensor]
        earlier = [self._find_junction(run) or run[-1] for run in runs if last not in run]
        before = [layer for layer in earlier if self.region.places[layer.tensor] < place]
        return (*(layer for layer in before if layer.grid != last.grid), last)

    @cached_property
    def last(self) -> Layer:
        """The default layer.

        Raises
        ------
        ModelError
            If no tensor of the model has a grid of positions.
        """
        if not self.cuts:
            return self._find_without_cuts()
        plain = self.cuts[-1]
        if "T" in plain.axes:
            return self._find_last_tokens(plain)
        return self._leave_class_maps(self._leave_pooling(plain))

    @property
    def first(self) -> Layer:
        """The output of the first convolution or other layer with weights that has a grid."""
        for node in self.region.nodes:
            layer = self.describe(node.output[0]) if node.op_type in WEIGHT_INPUTS else None
            if layer is not None:
                return layer
        raise ModelError("no layer with weights has a grid of positions")

    def find(self, name: str) -> tuple[Layer, ...]:
        """Find the layers that a name chooses, in the order of the graph.

        Raises
        ------
        ModelError
            If there is no such layer, or it has no grid of positions.
        """
        name = name.strip()
        if name in ("last", "stages", "first"):
            return self.stages if name == "stages" else (getattr(self, name),)
        if name == "before-last":
            return (self.stages[-2:][0],)
        if name.startswith("stage:"):
            return (self._find_stage(name),)
        if name.startswith(WEIGHTS) and name not in self.dims:
            return self._find_convolution(name)
        given = SUFFIX.search(name)
        if given and name not in self.dims:
            grid = int(given[1]), int(given[2])
            return (self._find_tensor(name[: given.start()], grid),)
        if name in self.region.places or not set("*?") & set(name):
            return (self._find_tensor(name),)
        tensors = [tensor for tensor in self.region.places if fnmatchcase(tensor, name)]
        layers = (self.describe(tensor) for tensor in tensors)
        found = tuple(layer for layer in layers if layer is not None)
        if not found:
            raise ModelError(f"no tensor with a grid of positions matches {name!r}; {self._hint()}")
        return found

    def list_named(self) -> list[tuple[Layer, str, tuple[str, ...]]]:
        """List the cuts and the default layer with their operators and names, in order.

        Raises
        ------
        ModelError
            If the model has no layers.
        """
        last, stages = self.last, self.stages
        layers = {layer.tensor: layer for layer in (*self.cuts, *stages, last)}
        names: dict[str, list[str]] = {name: [] for name in layers}
        names[last.tensor].append("last")
        for number, stage in enumerate(stages, start=1):
            names[stage.tensor].append(f"stage:{number}")
        ordered = sorted(layers, key=lambda name: self.region.places[name])
        makers = self.region.producers
        return [(layers[name], makers[name].op_type, tuple(names[name])) for name in ordered]

    def describe(self, tensor: str, grid: Size | None = None) -> Layer | None:
        """Describe a tensor as a layer; None if it has no grid of positions."""
        dims = self.dims.get(tensor) or ()
        if None in dims:
            return None
        sizes = tuple(int(dim or 0) for dim in dims)
        is_cut = tensor in self.region.cuts
        if len(sizes) == 4 and sizes[0] == self.batch:
            axis = find_channel_axis(tensor, self.region, self.dims, self.values)
            if axis is None:
                axis = LAST if self.channels_last else 1
            axes = "NHWC" if axis == LAST else "NCHW"
            rows, columns = sizes[axes.index("H")], sizes[axes.index("W")]
            if min(rows, columns) < 2:
                return None
            return Layer(tensor, axes, sizes[axis], (rows, columns), is_cut=is_cut)
        if len(sizes) == 3 and self.batch in sizes[:2]:
            return self._describe_tokens(tensor, sizes, is_cut, grid)
        return None

    def _describe_tokens(
        self, tensor: str, sizes: tuple[int, ...], is_cut: bool, grid: Size | None
    ) -> Layer | None:
        """Describe tokens, which have the grid of the last image before them."""
        given, maps = grid, self.find_maps_before(tensor)
        if maps is not None:
            maker = self.region.producers[tensor]
            rows, columns = maps.grid
            is_flattened = maker.op_type in ("Reshape", "Flatten") and maps.axes == "NCHW"
            if is_flattened and sizes == (self.batch, maps.channels, rows * columns):
                return replace(maps, tensor=tensor, axes="NCT", is_cut=is_cut)
            grid = given or maps.grid
        if grid is None:
            return None
        axes = "NTC" if sizes[0] == self.batch else "TNC"
        prefix = sizes[axes.index("T")] - grid[0] * grid[1]
        if not 0 <= prefix <= MOST_PREFIX:
            return None
        return Layer(tensor, axes, sizes[2], grid, prefix, is_cut)

    def find_maps_before(self, tensor: str) -> Layer | None:
        """Return the last cut before a tensor that is an image of several channels."""
        place = self.region.places.get(tensor, 0)
        for name in reversed(self.region.cuts):
            if 0 < self.region.places[name] < place and len(self.dims.get(name) or ()) == 4:
                layer = self.describe(name)
                if layer is not None:
                    return layer
        return None

    def _find_junction(self, run: list[Layer]) -> Layer | None:
        """Return the last junction of a resolution: where residual branches fork or join."""
        return next((layer for layer in reversed(run) if self._is_junction(layer.tensor)), None)

    def _is_junction(self, tensor: str) -> bool:
        region, cuts = self.region, self.region.cuts
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
            and self.dims.get(inputs[0]) == self.dims.get(tensor)
            and bool(before & JOINING)
        )

    def _leave_pooling(self, layer: Layer) -> Layer:
        """Return the layer in front of a pooling whose result goes to a dense layer."""
        maker = self.region.find_origin(layer.tensor)
        uses = {node.op_type for node in self.region.list_uses(layer.tensor)}
        if maker is None or maker.op_type not in POOLING or not uses <= ROWS | POOLING:
            return layer
        before = self._get_cut(maker.input[0])
        if before is None:
            return layer
        note = f"in front of the pooling that makes {layer.tensor!r}"
        return replace(self._leave_pooling(before), note=note)

    def _leave_class_maps(self, layer: Layer) -> Layer:
        """Return the last junction in place of a stack of class maps."""
        if layer.channels != self._n_classes or self._has_weights_behind(layer.tensor):
            return layer
        run = [cut for cut in self.cuts if cut.grid == layer.grid]
        earlier = [cut for cut in run if cut.channels != self._n_classes]
        if not earlier:
            return layer
        note = f"in front of {layer.tensor!r}, which is a stack of class maps"
        return replace(self._find_junction(earlier) or earlier[-1], note=note)

    def _has_weights_behind(self, tensor: str) -> bool:
        place = self.region.places[tensor]
        return any(node.op_type in WEIGHT_INPUTS for node in self.region.nodes[place:])

    def _get_cut(self, tensor: str) -> Layer | None:
        return next((cut for cut in self.cuts if cut.tensor == tensor), None)

    def _find_last_tokens(self, plain: Layer) -> Layer:
        """Return the last tokens that reach the scores: all of them, or those of a class token."""
        uses = self.region.list_uses(plain.tensor)
        if not plain.prefix or not drops_the_grid(uses, plain, self.dims, self.batch):
            return plain
        cuts = [cut.tensor for cut in self.cuts if "T" in cut.axes]
        tensor = find_last_norm(self.region, cuts, self.dims)
        layer = None if tensor is None else self.describe(tensor)
        if layer is None:
            return plain
        note = "what the last attention reads, as only the class token leaves it"
        return replace(layer, note=note)

    def _find_without_cuts(self) -> Layer:
        layers = [self.describe(name) for node in self.region.nodes for name in node.output]
        maps = {layer.tensor: layer for layer in layers if layer is not None}
        name = find_widest_tensor(self.region, maps, self.dims)
        if name is None:
            raise ModelError(
                "no tensor of the model has a grid of positions; methods that look at layers do "
                "not apply; choose another, such as rise"
            )
        note = "no tensor with a grid carries the whole image: the widest view among those that do"
        return replace(maps[name], note=note)

    def _find_stage(self, name: str) -> Layer:
        text, n = name.removeprefix("stage:"), len(self.stages)
        if not text.isdecimal() or not 1 <= int(text) <= n:
            raise ModelError(f"the model has the stages 1 to {n}, got {name!r}")
        return self.stages[int(text) - 1]

    def _find_convolution(self, name: str) -> tuple[Layer, Layer]:
        """Find the input and the output of the last convolution up to a layer."""
        last = self.find(name.removeprefix(WEIGHTS))[-1]
        for node in reversed(self.region.nodes[: self.region.places[last.tensor]]):
            source, output = self.describe(node.input[0]), self.describe(node.output[0])
            is_inner = node.input[0] != self.region.source
            if node.op_type == "Conv" and source and output and is_inner:
                return source, replace(output, kernel=self._read_kernel(node, source, output))
        raise ModelError(
            f"there is no convolution of inner values up to {last.tensor!r}, which {name!r} asks "
            f"for; choose a later one, such as weights:last"
        )

    def _read_kernel(self, node: NodeProto, source: Layer, output: Layer) -> Kernel:
        read = read_node(node)
        held = [int(side or 0) for side in (self.dims[node.input[1]] or ())[2:]]
        window = read_window(read, held, source.grid, output.grid)
        parts = (window.kernel, window.strides, window.dilations, window.before)
        sides, strides, dilations, before = ((int(rows), int(columns)) for rows, columns in parts)
        return Kernel(sides, strides, dilations, before, int(read.attributes.get("group", 1)))

    def _find_tensor(self, name: str, grid: Size | None = None) -> Layer:
        tensor = name
        if name not in self.region.places:
            nodes: dict[str, NodeProto] = {node.name: node for node in self.region.nodes}
            if not name or name not in nodes:
                raise ModelError(self._describe_unknown(name))
            tensor = nodes[name].output[0]
        layer = self.describe(tensor, grid)
        if layer is None:
            dims = self.dims.get(tensor)
            tokens = f", or give the grid of its tokens as {name}@14x14"
            raise ModelError(
                f"layer {name!r} has no grid of positions: its shape is {dims}"
                f"{' and not of the grid that was given' if grid else ''}; {self._hint()}"
                f"{tokens if dims is not None and len(dims) == 3 else ''}"
            )
        if grid not in (None, layer.grid):
            raise ModelError(
                f"layer {name!r} has a grid of {layer.grid[0]} x {layer.grid[1]} positions of its "
                f"own, and {grid[0]} x {grid[1]} was given; leave out the grid"
            )
        return layer

    def _describe_unknown(self, name: str) -> str:
        known = [*self.region.places, *(node.name for node in self.region.nodes)]
        near = difflib.get_close_matches(name, dict.fromkeys(known), n=3, cutoff=0)
        return (
            f"the model has no layer {name!r} between image and scores; the nearest names are "
            f"{', '.join(map(repr, near))}; {self._hint()}"
        )

    def _hint(self) -> str:
        return "choose last, stage:1, stages, first, or a name that onnxplain layers shows"
