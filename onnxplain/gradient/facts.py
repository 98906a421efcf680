"""Facts that a gradient needs beyond a graph's nodes: shapes, small constants, the type.

Shapes are measured, not inferred: runs at two batch sizes give every shape of any graph that
runs, and a dimension that differs between the two runs grows with the batch. A small tensor
that depends only on the image's shape and is equal in both runs (bounds of slices, pads) is
constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from onnxplain.gradient.refusal import GradientError
from onnxplain.graph.nodes import collect_reads, read_attributes
from onnxplain.graph.writer import GraphWriter

Array: TypeAlias = NDArray[Any]
Feeds: TypeAlias = Mapping[str, Array]
Shape: TypeAlias = tuple[int | None, ...]  # None: a dimension that grows with the batch

# Constants up to this number of elements are read: bounds, axes and pads, never weights.
SMALL = 4096

FLOATS: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.DOUBLE: np.dtype(np.float64),
}


class Measure(Protocol):
    """The parts of a runtime that differentiation needs; models pass as serialised ONNX."""

    def fold(self, model: bytes, *, merge: bool = True) -> bytes:
        """Fold constants, using operators of the standard domain alone.

        `merge` says whether scales may be multiplied into weights.
        """
        ...

    def run(self, model: bytes, feeds: Feeds) -> dict[str, Array]:
        """Return all outputs of a model by name, computed without optimising it."""
        ...


@dataclass(frozen=True, eq=False)
class Facts:
    """The known facts about a graph's tensors.

    Parameters
    ----------
    shapes : mapping of tuple
        Shape of every tensor; None stands for a dimension that grows with the batch.
    constants : mapping of ndarray
        Values of small tensors that no input changes.
    rows : set of str
        Tensors whose first axis is the batch.
    dtype : dtype
        float32 or float64: the type of the graph's real numbers.
    """

    shapes: Mapping[str, Shape]
    constants: Mapping[str, Array]
    rows: AbstractSet[str]
    dtype: np.dtype[Any]


def read_stored_tensors(graph: onnx.GraphProto) -> tuple[dict[str, Shape], dict[str, Array]]:
    """Return the shapes of all tensors stored in a graph, and the values of the small ones."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            (value,) = read_attributes(node).values()
            if not isinstance(value, TensorProto):
                value = numpy_helper.from_array(np.asarray(value))
            stored[node.output[0]] = value
    shapes: dict[str, Shape] = {name: tuple(tensor.dims) for name, tensor in stored.items()}
    small = {
        name: numpy_helper.to_array(tensor)
        for name, tensor in stored.items()
        if np.prod(tensor.dims, dtype=np.int64) <= SMALL
    }
    return shapes, small


def read_real_type(graph: onnx.GraphProto, name: str) -> np.dtype[Any]:
    """Return the type of a graph's input of real numbers.

    Raises
    ------
    GradientError
        If the graph has no such input, or the input holds no real numbers.
    """
    code = next((i.type.tensor_type.elem_type for i in graph.input if i.name == name), None)
    if code is None:
        inputs = ", ".join(value.name for value in graph.input)
        raise GradientError(f"the model has no input named {name!r}; its inputs are {inputs}")
    if code not in FLOATS:
        raise GradientError(
            f"input {name!r} holds {TensorProto.DataType.Name(code).lower()}, which has no gradient"
        )
    return FLOATS[code]


def measure_facts(
    model: onnx.ModelProto, measure: Measure, examples: Sequence[Feeds], dtype: np.dtype[Any]
) -> Facts:
    """Run a model on examples of one or two batch sizes and note what does not change.

    Parameters
    ----------
    model : ModelProto
        A model whose constants are folded.
    measure : Measure
        Runs it.
    examples : sequence of feeds
        One, for a model of fixed batch size, or two of different batch sizes.
    dtype : dtype
        The type of the graph's real numbers.

    Returns
    -------
    facts : Facts
    """
    shapes, constants = read_stored_tensors(model.graph)
    computed = [name for node in model.graph.node for name in node.output if name]
    candidates = set(computed) - set(constants) - _find_data(model.graph)
    parameters = _list_parameters(model.graph, candidates)
    probe, shape_of = _build_probe(model, computed, parameters)
    runs = [measure.run(probe, feeds) for feeds in examples]
    sizes = {name: [feeds[name].shape for feeds in examples] for name in examples[0]}
    batches = {tuple(shape[0] for shape in pair if shape) for pair in sizes.values()}
    for name in computed:
        sizes[name] = [tuple(map(int, run[shape_of[name]])) for run in runs]
    shapes |= {name: _find_common_shape(pair) for name, pair in sizes.items()}
    rows = {
        name
        for name, pair in sizes.items()
        if pair[0] and shapes[name][0] is None and tuple(shape[0] for shape in pair) in batches
    }
    for name in parameters:
        values = [run[name] for run in runs]
        if values[0].size <= SMALL and all(np.array_equal(values[0], v) for v in values[1:]):
            constants[name] = values[0]
    return Facts(shapes, constants, rows, dtype)


def _find_common_shape(shapes: Sequence[tuple[int, ...]]) -> Shape:
    """Return the sizes that are the same in all runs, None for the others."""
    axes = zip(*shapes, strict=True)
    return tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in axes)


def _find_data(graph: onnx.GraphProto) -> set[str]:
    """Return the tensors that depend on an input's values, not only on its shape.

    Such a tensor may be equal in two runs by chance.
    """
    data = {value.name for value in graph.input}
    for node in graph.node:
        if node.op_type not in ("Shape", "Size") and collect_reads(node) & data:
            data.update(node.output)
    return data


def _list_parameters(graph: onnx.GraphProto, candidates: set[str]) -> list[str]:
    """Return the candidates that are parameters of a node, such as the bounds of a Slice."""
    takers = {"Slice", "Pad", "Gather", "Squeeze", "Unsqueeze", "Clip", "Resize", "Tile", "Pow"}
    parameters = {
        name
        for node in graph.node
        if node.op_type in takers or node.op_type.startswith("Reduce")
        for name in node.input[1:]
    }
    return sorted(parameters & candidates)


def _build_probe(
    model: onnx.ModelProto, computed: Sequence[str], parameters: Sequence[str]
) -> tuple[bytes, dict[str, str]]:
    """Return a model that outputs parameters and shapes, and the names of the shapes."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    graph = probe.graph
    del graph.output[:], graph.value_info[:]
    writer = GraphWriter(graph, prefix="shape of ")
    shape_of = {name: writer.op("Shape", name, name=name) for name in computed}
    outputs = [*shape_of.values(), *parameters]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return probe.SerializeToString(), shape_of
