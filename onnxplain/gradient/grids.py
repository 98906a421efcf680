"""Which tensors of a classifier have a grid of positions, and are layers for that reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, final

from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from onnxplain.core.data import Layer, Size
from onnxplain.gradient.axes import LAST, find_channel_axis
from onnxplain.gradient.cuts import SIZES, find_region
from onnxplain.gradient.fused import expand_attention
from onnxplain.graph.nodes import collect_reads
from onnxplain.graph.shapes import Dims, ShapeMismatch, Shapes
from onnxplain.graph.surgery import WEIGHT_INPUTS

MOST_PREFIX = 32  # tokens in front of the grid: a class token, a distillation token, registers


@final
class GridGraph:
    """A classifier's graph, which tells of each tensor whether it has a grid of positions.

    Parameters
    ----------
    model : ModelProto
        With its nodes in order; weights may lie in other files. Every Attention is written out.
    input, output : str
        Names of its image and its scores.
    size : (rows, columns)
        Size of the image.
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
        channels_last: bool = False,
    ) -> None:
        model = expand_attention(model)
        self.region = find_region(model.graph, input, output)
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
