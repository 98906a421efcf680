"""How far a change of some pixels reaches: the cuts of a classifier up to the first global step.

A convolution or pooling gives each value a window of what it reads, so that a change of a few
pixels changes a few values of the next cut. Where an operator sees all of its input, or nobody
has proved here how far it sees, this ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, final

import numpy as np
from onnx import NodeProto

from onnxplain.core.data import Size
from onnxplain.gradient.grids import GridGraph
from onnxplain.gradient.node import Node, read_node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.rules.convolution import Window, read_window

# Operators of windows, and the input that holds the weights, if there is one.
WINDOWED: Mapping[str, int | None] = {
    "AveragePool": None,
    "Conv": 1,
    "LpPool": None,
    "MaxPool": None,
}
# Operators that compute a value from the values of the same position.
POINTWISE = {
    *("Abs", "Add", "Cast", "Ceil", "Celu", "Clip", "Div", "Dropout", "Elu", "Erf", "Exp"),
    *("Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Max", "Mean"),
    *("Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu"),
    *("Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu"),
}
PER_CHANNEL = {"BatchNormalization", "LRN"}  # channels are their second axis
JOINING = {"Concat", "Split"}
QUANTISING = {"DequantizeLinear", "QuantizeLinear"}
# Multiplications that reading and writing a value costs about as much as, beside a convolution.
WORK_PER_VALUE = 20


class Reach(NamedTuple):
    """Along a side, value o depends on the values o * step - before to o * step + after."""

    step: int = 1
    before: int = 0
    after: int = 0

    def then(self, later: Reach) -> Reach:
        """Return the reach of `later`, which reads values of this reach."""
        return Reach(
            self.step * later.step,
            later.before * self.step + self.before,
            later.after * self.step + self.after,
        )


class Local(NamedTuple):
    """A tensor whose values each see a window of the source."""

    axes: tuple[int, int]  # of rows and columns
    reaches: tuple[Reach, Reach]

    def cut(self, shape: Sequence[int]) -> Size:
        """Return the rows and columns of a shape."""
        return shape[self.axes[0]], shape[self.axes[1]]


class LocalCut(NamedTuple):
    """A cut, and how far each of its values sees of the cut before it.

    Parameters
    ----------
    tensor : str
    axes : (int, int)
        Which axes are rows and columns.
    shape : tuple of int
        Of one image, without the first axis.
    reaches : (Reach, Reach)
        Along rows and columns; of the first cut, the image, one value.
    work : float
        Multiplications between the cut before it and this one.
    """

    tensor: str
    axes: tuple[int, int]
    shape: tuple[int, ...]
    reaches: tuple[Reach, Reach]
    work: float

    @property
    def grid(self) -> Size:
        """Rows and columns."""
        return self.shape[self.axes[0] - 1], self.shape[self.axes[1] - 1]


class Locality(NamedTuple):
    """The cuts up to the first global step, the image first.

    Parameters
    ----------
    cuts : tuple of LocalCut
    tail : float
        Multiplications behind the last of them.
    pads : mapping
        Explicit pads of the nodes whose pads are automatic, by their first output.
    end : str
        Why there are no more cuts.
    """

    cuts: tuple[LocalCut, ...]
    tail: float
    pads: Mapping[str, Sequence[int]]
    end: str


def find_local_cuts(graph: GridGraph) -> Locality:
    """Find the cuts of a classifier up to its first global step."""
    return _Walk(graph).walk((1, 2) if graph.channels_last else (2, 3))


@final
class _Walk:
    """A walk through a classifier, in order, that starts anew at each cut of real numbers."""

    def __init__(self, graph: GridGraph) -> None:
        self.region = graph.region
        self.graph = graph
        self.sized = graph.find_sized()
        self.local: dict[str, Local] = {}
        self.pads: dict[str, Sequence[int]] = {}

    def walk(self, axes: tuple[int, int]) -> Locality:
        """Walk from an image with these axes of rows and columns."""
        nodes, source, end = list(self.region.nodes), self.region.source, "the scores begin"
        start = Local(axes, (Reach(), Reach()))
        found = [self._describe(source, start, 0.0)]
        self.local, work = {source: start}, 0.0
        while nodes:
            node = read_node(nodes[0])
            try:
                local = self._step(node)
                described = self._describe(node.y, local, work + self._count_work(nodes[0]))
            except Refusal as refusal:
                end = f"node {node.name!r} ({node.operator}) {refusal}"
                break
            self.local |= {name: local for name in node.outputs if name}
            work = described.work
            is_cut = node.y in self.region.cuts and self.graph.is_real(node.y)
            if is_cut and min(described.grid) > 1:
                found.append(described)
                self.local, work = {node.y: start._replace(axes=local.axes)}, 0.0
            del nodes[0]
        tail = work + sum(map(self._count_work, nodes))
        return Locality(tuple(found), tail, self.pads, end)

    def _describe(self, tensor: str, local: Local, work: float) -> LocalCut:
        return LocalCut(tensor, local.axes, self._get_dims(tensor)[1:], local.reaches, work)

    def _step(self, node: Node) -> Local:
        """Return how far the outputs of a node see."""
        before = {name: self.local[name] for name in node.inputs if name in self.local}
        if not before or self.sized.intersection(node.inputs):
            raise Refusal("may compute with the size of what it reads")
        local = _join(list(before.values()))
        if node.operator in WINDOWED:
            return self._widen(node, local)
        if node.operator == "Pad":
            return self._pad(node, local)
        if node.operator == "Transpose":
            return self._transpose(node, local)
        self._check_pointwise(node, before, local)
        return local

    def _widen(self, node: Node, local: Local) -> Local:
        if local.axes != (2, 3) or len(self._get_dims(node.x)) != 4:
            raise Refusal("does not have rows and columns as its last two axes")
        if len(list(filter(None, node.outputs))) > 1:
            raise Refusal("also tells where its values come from")
        inputs, outputs = self._get_dims(node.x)[2:], self._get_dims(node.y)[2:]
        weights = WINDOWED[node.operator]
        kernel = node.attributes.get("kernel_shape") or (
            self._get_dims(node.inputs[weights])[2:] if weights is not None else None
        )
        if kernel is None or any(name in self.local for name in node.inputs[1:]):
            raise Refusal("has weights that depend on the image")
        window = read_window(node, kernel, inputs, outputs)
        if node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
            if node.attributes.get("ceil_mode", 0):
                raise Refusal("has automatic pads and rounds its size up")
            self.pads[node.y] = _spell_pads(node, window)
        if min(*window.before, *node.attributes.get("pads", [0])) < 0:
            raise Refusal("has negative pads")
        steps = (
            Reach(stride, before, span - 1 - before)
            for stride, before, span in zip(
                window.strides, window.before, window.spans, strict=True
            )
        )
        return _extend(local, *steps)

    def _pad(self, node: Node, local: Local) -> Local:
        rank = len(self._get_dims(node.x))
        given = node.attributes.get("pads", self.graph.values.get(node.input(1)))
        axes = self.graph.values.get(node.input(3)) if node.input(3) else np.arange(rank)
        if given is None or axes is None or node.attributes.get("mode", "constant") != "constant":
            raise Refusal("does not pad by a constant number of constant values")
        before = dict(zip((int(axis) % rank for axis in axes), map(int, given), strict=False))
        if min(map(int, given)) < 0 or self._get_dims(node.x)[0] != self._get_dims(node.y)[0]:
            raise Refusal("has negative pads, or pads the axis of images")
        return _extend(
            local, *(Reach(1, before.get(axis, 0), -before.get(axis, 0)) for axis in local.axes)
        )

    def _transpose(self, node: Node, local: Local) -> Local:
        order = list(node.attributes.get("perm", ()))
        if not order or order[0] != 0:
            raise Refusal("moves the axis of images")
        rows, columns = (order.index(axis) for axis in local.axes)
        return Local((rows, columns), local.reaches)

    def _check_pointwise(self, node: Node, before: Mapping[str, Local], local: Local) -> None:
        """Raise a Refusal unless each value depends on the values of its position alone."""
        if node.operator in QUANTISING:
            raise Refusal("belongs to a convolution of whole numbers, which rounds as one")
        if node.operator not in POINTWISE | PER_CHANNEL | JOINING:
            raise Refusal("may see more than a window of what it reads")
        tensors = [*before, *filter(None, node.outputs)]
        shapes = [self._get_dims(name) for name in tensors]
        if len({len(shape) for shape in shapes}) > 1 or len(set(map(local.cut, shapes))) > 1:
            raise Refusal("joins tensors of different sizes")
        rank = len(shapes[0])
        spatial = {axis - rank for axis in local.axes}
        others = [self._get_dims(name) for name in node.inputs if name and name not in before]
        axis = node.attributes.get("axis", 1)
        axis = axis if axis < 0 else axis - rank
        if node.operator in PER_CHANNEL:
            mixes = local.axes != (2, 3)
        elif node.operator in JOINING:
            mixes = axis in {*spatial, -rank} or bool(others and node.operator == "Concat")
        else:
            sides = [shape[axis] for shape in others for axis in spatial if len(shape) >= -axis]
            mixes = set(sides) > {1}
        if mixes:
            raise Refusal("treats positions differently")

    def _get_dims(self, tensor: str) -> tuple[int, ...]:
        dims = self.graph.dims.get(tensor)
        if dims is None or None in dims:
            raise Refusal(f"has a tensor of unknown size, {tensor!r}")
        return tuple(int(dim or 0) for dim in dims)

    def _count_work(self, node: NodeProto) -> float:
        """Count the multiplications of a node, about; those of sizes that are not known are 0."""
        try:
            size = math.prod(self._get_dims(node.output[0])[1:])
            if node.op_type not in ("Conv", "Gemm", "MatMul"):
                return size * WORK_PER_VALUE
            shape = self._get_dims(node.input[1])
        except Refusal:
            return 0
        products = size * math.prod(shape[1:]) if node.op_type == "Conv" else math.prod(shape)
        return products + size * WORK_PER_VALUE


def _join(read: Sequence[Local]) -> Local:
    """Return how far values see that are made of several tensors."""
    first, *others = read
    if any(local.axes != first.axes for local in others):
        raise Refusal("joins tensors with other axes")
    rows, columns = (
        Reach(side[0].step, max(reach.before for reach in side), max(reach.after for reach in side))
        for side in zip(*(local.reaches for local in read), strict=True)
    )
    steps = {tuple(reach.step for reach in local.reaches) for local in read}
    if len(steps) > 1:
        raise Refusal("joins tensors of different resolutions")
    return Local(first.axes, (rows, columns))


def _extend(local: Local, *steps: Reach) -> Local:
    rows, columns = (reach.then(step) for reach, step in zip(local.reaches, steps, strict=True))
    return Local(local.axes, (rows, columns))


def _spell_pads(node: Node, window: Window) -> list[int]:
    """Return the pads before and after each side of a node whose pads are automatic."""
    if node.attributes["auto_pad"] == "VALID":
        return [0] * 2 * len(window.kernel)
    # Those of `after` that are negative belong to windows that end before the input does.
    return [*window.before, *(max(pad, 0) for pad in window.after)]
