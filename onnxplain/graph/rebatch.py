"""Make a graph that was exported for one image take any batch.

Exporters write a batch of 1 into reshapes. The shapes are computed twice, at batch 1 and at a
large prime, which shows the dimensions that hold the batch; each reshape that loses it is
rewritten. The result can be wrong without an error, so it must be proved:
see `onnxplain.graph.batch_proof.prove_batch`.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from onnxplain.core.data import Size
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.graph.nodes import read_int
from onnxplain.graph.shapes import Dims, ShapeMismatch, Shapes, drop_open, list_fed_inputs
from onnxplain.graph.writer import GraphWriter

# A batch that divides no dimension of a real model.
PRIME = 7919


def make_batch_dynamic(proto: ModelProto, spec: ModelSpec | None = None) -> ModelProto:
    """Return a copy of a graph of batch 1 that takes any batch.

    Parameters
    ----------
    proto : ModelProto
        The graph; external tensors need not be loaded.
    spec : ModelSpec, optional
        Gives the size of the images where the graph leaves it open.

    Returns
    -------
    model : ModelProto
        To be proved by `prove_batch` before it is used.

    Raises
    ------
    ModelError
        If the batch cannot be carried to the output, naming where it was lost.
    """
    model = ModelProto()
    model.CopyFrom(proto)
    size = spec.size if spec else None
    return _Rebatch(model, size).rewrite()


class _Rebatch:
    """A walk through a graph at batch 1 and at a prime side by side that mends what differs."""

    def __init__(self, model: ModelProto, size: Size | None) -> None:
        self.model = model
        self.single = Shapes.of_inputs(model, batch=1, size=size)
        self.batched = Shapes.of_inputs(model, batch=PRIME, size=size)
        # An axis may hold more than the batch: per tensor, how many elements of the axis that
        # holds the batch come before one image.
        self.before: dict[str, int] = {}
        self.writer = GraphWriter(model.graph, prefix="onnxplain.batch/", share=False)
        self.lost_at: str | None = None

    def rewrite(self) -> ModelProto:
        """Mend all nodes, and declare the batch of inputs and outputs dynamic."""
        graph = self.model.graph
        nodes = list(graph.node)
        del graph.node[:]
        for node in nodes:
            self._visit(node)
        for value in graph.output:
            dims = self.batched.dims(value.name)
            if dims is not None and (not dims or dims[0] not in (None, PRIME)):
                where = f", lost at {self.lost_at}" if self.lost_at else ""
                raise ModelError(f"the batch does not reach the output {value.name!r}{where}")
        del graph.value_info[:]
        for value in [*list_fed_inputs(graph), *graph.output]:
            if value.type.tensor_type.HasField("shape") and value.type.tensor_type.shape.dim:
                value.type.tensor_type.shape.dim[0].Clear()
                value.type.tensor_type.shape.dim[0].dim_param = "batch"
        return self.model

    def _visit(self, node: NodeProto) -> None:
        with contextlib.suppress(ShapeMismatch):
            self.single.step(node)
        if node.op_type == "Concat":
            self._mend_concat(node)
        elif node.op_type == "Resize":
            self._mend_resize(node)
        elif node.op_type == "Reshape":
            self._mend_reshape(node)
        self._step_batched(node)
        if node.op_type != "Reshape":
            self._pass_on_before(node)
        self.writer.graph.node.append(node)
        if self.lost_at is None and self._loses_batch(node):
            self.lost_at = f"{node.op_type} {node.name!r}" if node.name else node.op_type

    def _step_batched(self, node: NodeProto) -> None:
        with contextlib.suppress(ShapeMismatch):  # unknown from here on: the proof decides
            self.batched.step(node)

    def _pass_on_before(self, node: NodeProto) -> None:
        """Copy `before` to the outputs whose batch axis is as long as the input's."""
        for name in node.input:
            dims = self.batched.dims(name)
            axis = _find_batch_axis(dims)
            if name not in self.before or axis is None or dims is None:
                continue
            for output in node.output:
                output_dims = self.batched.dims(output)
                output_axis = _find_batch_axis(output_dims)
                if (
                    output_dims is not None
                    and output_axis is not None
                    and output_dims[output_axis] == dims[axis]
                ):
                    self.before[output] = self.before[name]

    def _loses_batch(self, node: NodeProto) -> bool:
        carried = any(_find_batch_axis(self.batched.dims(name)) is not None for name in node.input)
        dims = self.batched.dims(node.output[0])
        known = dims is not None and None not in dims
        lost = _find_batch_axis(dims) is None
        return carried and known and lost and node.op_type not in ("Shape", "Size")

    def _mend_reshape(self, node: NodeProto) -> None:
        """Put the batch where it belongs in the target of a Reshape."""
        before, after = self.batched.dims(node.input[0]), self.single.dims(node.output[0])
        if before is None or after is None or None in (*before, *after):
            return
        axis = _find_batch_axis(before)
        if axis is None:
            return
        self._step_batched(node)
        unmended = self.batched.dims(node.output[0])
        inner = self.before.get(node.input[0], 1)
        outer = math.prod(drop_open(before)[:axis]) * inner
        place = _find_batch_place(after, outer)
        if place is None:
            return
        sizes = drop_open(after)
        self.before[node.output[0]] = outer // math.prod(sizes[:place])
        wanted = [size * PRIME if index == place else size for index, size in enumerate(sizes)]
        fits = math.prod(wanted) == math.prod(drop_open(before))
        if not fits or unmended == tuple(wanted):
            return
        target = np.array([-1 if index == place else dim for index, dim in enumerate(after)])
        node.input[1] = self._add_constant(target)

    def _mend_concat(self, node: NodeProto) -> None:
        """Repeat constant operands of batch 1 (class tokens) along the others' batch."""
        carriers = [
            name for name in node.input if _find_batch_axis(self.batched.dims(name)) is not None
        ]
        if not carriers:
            return
        axis = _find_batch_axis(self.batched.dims(carriers[0]))
        assert axis is not None
        joined = read_int(node, "axis")
        for index, name in enumerate(node.input):
            dims = self.batched.dims(name)
            if dims is None or len(dims) <= axis or joined in (axis, axis - len(dims)):
                continue
            if dims[axis] == 1:
                ones = [1] * len(dims)
                shape = self._add_batched_shape(carriers[0], axis, ones[:axis], ones[axis + 1 :])
                node.input[index] = self._add_node("Expand", name, shape)

    def _mend_resize(self, node: NodeProto) -> None:
        """Take the batch in the `sizes` of a Resize from its input."""
        if len(node.input) < 4 or node.input[3] not in self.batched.values:
            return
        sizes = self.batched.values[node.input[3]].tolist()
        if _find_batch_axis(self.batched.dims(node.input[0])) == 0 and sizes[:1] == [1]:
            node.input[3] = self._add_batched_shape(node.input[0], 0, [], sizes[1:])

    def _add_batched_shape(self, name: str, axis: int, before: list[int], after: list[int]) -> str:
        """Add a shape whose dimension between `before` and `after` is `axis` of a tensor."""
        shape = self._add_node("Shape", name)
        parts = [self._add_node("Gather", shape, self._add_constant(np.array([axis])))]
        parts = [self._add_constant(np.array(before))] * bool(before) + parts
        parts += [self._add_constant(np.array(after))] * bool(after)
        return self._add_node("Concat", *parts, axis=0)

    def _add_node(self, op: str, *inputs: str, **attributes: Any) -> str:
        nodes = self.writer.graph.node
        name = self.writer.op(op, *inputs, name=f"{op.lower()}_{len(nodes)}", **attributes)
        for shapes in (self.single, self.batched):
            shapes.step(nodes[-1])
        return name

    def _add_constant(self, values: NDArray[Any]) -> str:
        wide = values.astype(np.int64)
        name = self.writer.store(wide)
        for shapes in (self.single, self.batched):
            shapes.set(name, TensorProto.INT64, wide.shape)
            shapes.values[name] = wide
        return name


def _find_batch_axis(dims: Dims | None) -> int | None:
    """Return the one axis that holds the batch; None if no axis or several do."""
    axes = [axis for axis, dim in enumerate(dims or ()) if dim and dim % PRIME == 0]
    return axes[0] if len(axes) == 1 else None


def _find_batch_place(after: Dims, outer: int) -> int | None:
    """Return the axis of a reshape's result that the batch goes to, or None.

    `after` is the result at batch 1; in memory, `outer` elements come before each image's.
    So the batch may go to an axis of 1 there, to the start of the axis that begins there, to
    the end of the one that ends there, or into one that spans the place.
    """
    sizes = drop_open(after)
    starts = [math.prod(sizes[:place]) for place in range(len(sizes))]
    here = [place for place, start in enumerate(starts) if start == outer]
    ones = [place for place in here if sizes[place] == 1]
    if ones:
        return ones[0]
    if here and not (here[0] and here[0] == len(sizes) - 1):
        return here[0]
    # (L, N * heads, d) -> (L * N, heads * d): the last axis holds features, never images.
    for place, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if outer % start == 0 and (start * size) % outer == 0 and start * size >= outer:
            return place
    return None
