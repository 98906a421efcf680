"""Carry a batch through a graph that was exported for one image.

The 1 is written into its reshapes. Shapes are worked out once at batch 1 and once at a large
prime, so that the dimensions which hold the batch can be told, and each reshape that loses
it is rewritten. That can go wrong without an error: see `onnxplain.graph.rebatch.prove_batch`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnxplain.core.data import Images, Size
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.graph.shapes import Dims, ShapeMismatch, Shapes, list_fed_inputs, read_declared_dims

# A batch that divides no dimension of a real model.
PRIME = 7919


def make_batch_dynamic(proto: ModelProto, spec: ModelSpec | None = None) -> ModelProto:
    """A copy of a graph of batch 1 that takes any batch.

    Parameters
    ----------
    proto : ModelProto
        The graph; external tensors need not be loaded.
    spec : ModelSpec, optional
        Tells the size where the graph leaves it open.

    Returns
    -------
    model : ModelProto
        To be proved by `prove_batch` before it is believed.

    Raises
    ------
    ModelError
        If the batch cannot be carried to the output, naming where it was lost.
    """
    made = ModelProto()
    made.CopyFrom(proto)
    size = spec.size if spec else None
    return _Rebatch(made, size).model()


class _Rebatch:
    """Walks a graph at batch 1 and at a prime side by side, and mends what differs."""

    def __init__(self, made: ModelProto, size: Size | None) -> None:
        self.made = made
        self.one = Shapes.of_inputs(made, batch=1, size=size)
        self.many = Shapes.of_inputs(made, batch=PRIME, size=size)
        # An axis may hold more than the batch: how many elements of it come before one image.
        self.before: dict[str, int] = {}
        self.nodes: list[NodeProto] = []
        self.lost: str | None = None

    def model(self) -> ModelProto:
        graph = self.made.graph
        for node in graph.node:
            self._visit(node)
        for value in graph.output:
            dims = self.many.dims(value.name)
            if dims is not None and (not dims or dims[0] not in (None, PRIME)):
                where = f", lost at {self.lost}" if self.lost else ""
                raise ModelError(f"the batch does not reach the output {value.name!r}{where}")
        del graph.node[:]
        graph.node.extend(self.nodes)
        del graph.value_info[:]
        for value in [*list_fed_inputs(graph), *graph.output]:
            if value.type.tensor_type.HasField("shape") and value.type.tensor_type.shape.dim:
                value.type.tensor_type.shape.dim[0].Clear()
                value.type.tensor_type.shape.dim[0].dim_param = "batch"
        return self.made

    def _visit(self, node: NodeProto) -> None:
        with contextlib.suppress(ShapeMismatch):
            self.one.step(node)
        if node.op_type == "Concat":
            self._concat(node)
        elif node.op_type == "Resize":
            self._resize(node)
        elif node.op_type == "Reshape":
            self._reshape(node)
        self._step(node)
        if node.op_type != "Reshape":
            self._keep_before(node)
        self.nodes.append(node)
        if self.lost is None and self._loses(node):
            self.lost = f"{node.op_type} {node.name!r}" if node.name else node.op_type

    def _step(self, node: NodeProto) -> None:
        with contextlib.suppress(ShapeMismatch):  # unknown from here on: the proof decides
            self.many.step(node)

    def _keep_before(self, node: NodeProto) -> None:
        """An axis that passes through a node as it is stays divided as it was."""
        for name in node.input:
            axis, dims = _axis(self.many.dims(name)), self.many.dims(name)
            if name not in self.before or axis is None or dims is None:
                continue
            for output in node.output:
                result = self.many.dims(output)
                place = _axis(result)
                if result is not None and place is not None and result[place] == dims[axis]:
                    self.before[output] = self.before[name]

    def _loses(self, node: NodeProto) -> bool:
        carried = any(_axis(self.many.dims(name)) is not None for name in node.input)
        dims = self.many.dims(node.output[0])
        known = dims is not None and None not in dims
        return carried and known and _axis(dims) is None and node.op_type not in ("Shape", "Size")

    def _reshape(self, node: NodeProto) -> None:
        """Put the batch where it belongs in a reshape's target."""
        before, after = self.many.dims(node.input[0]), self.one.dims(node.output[0])
        if before is None or after is None or None in (*before, *after):
            return
        axis = _axis(before)
        if axis is None:
            return
        self._step(node)
        found = self.many.dims(node.output[0])
        inner = self.before.get(node.input[0], 1)
        outer = math.prod(_known(before)[:axis]) * inner
        place = _place(after, outer)
        if place is None:
            return
        self.before[node.output[0]] = outer // math.prod(_known(after)[:place])
        wanted = [dim * PRIME if at == place else dim for at, dim in enumerate(_known(after))]
        fits = math.prod(wanted) == math.prod(_known(before))
        if not fits or found == tuple(wanted):
            return
        target = np.array([-1 if index == place else dim for index, dim in enumerate(after)])
        node.input[1] = self._constant(target)

    def _concat(self, node: NodeProto) -> None:
        """Repeat constant operands of batch 1 (class tokens) along the others' batch."""
        carriers = [name for name in node.input if _axis(self.many.dims(name)) is not None]
        if not carriers:
            return
        axis = _axis(self.many.dims(carriers[0]))
        assert axis is not None
        joined = next(a.i for a in node.attribute if a.name == "axis")
        for index, name in enumerate(node.input):
            dims = self.many.dims(name)
            if dims is None or len(dims) <= axis or joined in (axis, axis - len(dims)):
                continue
            if dims[axis] == 1:
                pattern = [1] * len(dims)
                shape = self._batch_of(carriers[0], axis, pattern[:axis], pattern[axis + 1 :])
                node.input[index] = self._add("Expand", name, shape)

    def _resize(self, node: NodeProto) -> None:
        """Take the batch of the `sizes` of a Resize from its input."""
        if len(node.input) < 4 or node.input[3] not in self.many.values:
            return
        sizes = self.many.values[node.input[3]].tolist()
        if _axis(self.many.dims(node.input[0])) == 0 and sizes[:1] == [1]:
            node.input[3] = self._batch_of(node.input[0], 0, [], sizes[1:])

    def _batch_of(self, name: str, axis: int, before: list[int], after: list[int]) -> str:
        """A shape with one dimension taken from a tensor that carries the batch."""
        shape = self._add("Shape", name)
        parts = [self._add("Gather", shape, self._constant(np.array([axis])))]
        parts = [self._constant(np.array(before))] * bool(before) + parts
        parts += [self._constant(np.array(after))] * bool(after)
        return self._add("Concat", *parts, axis=0)

    def _add(self, op: str, *inputs: str, **attributes: int) -> str:
        name = f"onnxplain.batch/{op.lower()}_{len(self.nodes)}"
        node = helper.make_node(op, inputs, [name], name)
        node.attribute.extend(helper.make_attribute(*entry) for entry in attributes.items())
        for shapes in (self.one, self.many):
            shapes.step(node)
        self.nodes.append(node)
        return name

    def _constant(self, values: NDArray[Any]) -> str:
        initializers = self.made.graph.initializer
        name = f"onnxplain.batch/constant_{len(initializers)}"
        initializers.append(numpy_helper.from_array(values.astype(np.int64), name))
        for shapes in (self.one, self.many):
            shapes.set(name, initializers[-1].data_type, values.shape)
            shapes.values[name] = values.astype(np.int64)
        return name


def _axis(dims: Dims | None) -> int | None:
    """The one axis that holds the batch; None if none or several do."""
    found = [axis for axis, dim in enumerate(dims or ()) if dim and dim % PRIME == 0]
    return found[0] if len(found) == 1 else None


def _known(dims: Dims) -> list[int]:
    return [dim for dim in dims if dim is not None]


def _place(after: Dims, outer: int) -> int | None:
    """The axis of a reshape's result that the batch goes to.

    `after` is the result at batch 1; in memory, `outer` elements come before each image's.
    So the batch may go to an axis of 1 there, to the start of the axis that begins there, to
    the end of the one that ends there, or into one that spans the place.
    """
    sizes = _known(after)
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


RTOL = 1e-4
# Outputs must differ from one another by so many times the tolerance.
CLEARLY = 100
ROWS = 3

Run: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]


def read_fixed_batch(proto: ModelProto, input: str | None = None) -> int | None:
    """The batch that a graph declares for its image input; None if it is dynamic."""
    for value in list_fed_inputs(proto.graph):
        if input in (None, value.name):
            dims = read_declared_dims(value)
            return dims[0] if dims else None
    return None


@dataclass(frozen=True, slots=True)
class BatchProof:
    """Whether a batch gives each image the answer that it has alone.

    Parameters
    ----------
    proved : bool
        Whether it was shown.
    reason : str
        What was seen.
    error : float
        Largest difference between both answers, relative to the largest answer.
    spread : float
        Least difference between the answers to two images, on the same scale.
    """

    proved: bool
    reason: str
    error: float = math.nan
    spread: float = math.nan


def prove_batch(run_single: Run, run_batched: Run, inputs: NDArray[Any]) -> BatchProof:
    """Compare answers to a batch with the answers to each of its images alone.

    Parameters
    ----------
    run_single : callable
        Scores (1, ...) of an input (1, ...).
    run_batched : callable
        Scores (N, ...) of inputs (N, ...); by the rewritten or the same graph. Whatever it
        raises means that the graph does not take the batch.
    inputs : (M, ...) ndarray
        Encoded images, M >= 3. The three whose answers differ most are compared; if even
        these hardly differ, agreement would show nothing.
    """
    alone = np.concatenate([_rows(run_single(inputs[i : i + 1])) for i in range(len(inputs))])
    if not np.isfinite(alone).all():
        return BatchProof(False, "the answers to the probe images are not all finite")
    scale = float(np.abs(alone).max()) or 1.0
    chosen, spread = _most_different(alone / scale)
    try:
        answer = np.asarray(run_batched(np.ascontiguousarray(inputs[chosen])))
    except Exception as raised:  # each runtime has its own, and any of them answers the question
        first = (str(raised).strip().splitlines() or [type(raised).__name__])[0]
        return BatchProof(False, f"it does not run at batch {ROWS}: {first}", spread=spread)
    if len(answer) != ROWS or answer.size != alone[chosen].size:
        shape = tuple(answer.shape)
        return BatchProof(False, f"{ROWS} images give an answer of shape {shape}", spread=spread)
    error = float(np.abs(_rows(answer) - alone[chosen]).max()) / scale
    if not error <= RTOL:
        reason = f"answers differ by {error:.1e} of the largest from those to single images"
        return BatchProof(False, reason, error, spread)
    if spread < CLEARLY * RTOL:
        reason = f"different images get answers that hardly differ (by {spread:.1e}), so that "
        return BatchProof(False, reason + "agreement shows nothing", error, spread)
    reason = f"{ROWS} images agree within {error:.1e} and differ by {spread:.1e} from one another"
    return BatchProof(True, reason, error, spread)


def make_probe_images(size: Size) -> Images:
    """Clearly different images (N, H, W, 3) in [0, 1] to run a proof on.

    Noise at two scales, a gradient in each direction, plain colours and stripes.
    """
    rows, columns = size
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    coarse = rng.random((8, 8, 3))
    made = [
        rng.random((rows, columns, 3)),
        coarse[(y * 7.99).astype(int), (x * 7.99).astype(int)],
        np.stack([y, x, 1 - y], axis=2),
        np.stack([np.exp(-20 * ((y - 0.5) ** 2 + (x - 0.5) ** 2))] * 3, axis=2),
        np.full((rows, columns, 3), (0.8, 0.2, 0.1)),
        np.full((rows, columns, 3), (0.1, 0.3, 0.9)),
        np.stack([(np.sin(x * 40) > 0) * 1.0] * 3, axis=2),
    ]
    return np.stack(made).astype(np.float32)


def _rows(answer: NDArray[Any]) -> NDArray[np.float64]:
    wide = np.asarray(answer)
    rows: NDArray[np.float64] = wide.reshape(len(wide), -1).astype(np.float64)
    return rows


def _most_different(answers: NDArray[np.float64]) -> tuple[list[int], float]:
    """Three answers that lie far apart, and the least distance between two of them."""
    apart = np.abs(answers[:, None] - answers[None]).max(axis=2)
    first, second = np.unravel_index(apart.argmax(), apart.shape)
    nearest = np.minimum(apart[first], apart[second])
    third = int(nearest.argmax())
    chosen = [int(first), int(second), third]
    pairs = [apart[a, b] for a in chosen for b in chosen if a < b]
    return chosen, float(min(pairs, default=0.0))
