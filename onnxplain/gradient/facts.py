"""What a gradient needs to know of a graph beyond its nodes: shapes, small constants, type.

Shapes are measured, not inferred: a run at two batch sizes tells every shape of any graph
that runs, and a dimension that differs between the two runs is one that grows with the
batch. What is small, depends on the image by its shape alone and comes out equal in both
(bounds of slices, pads) is constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxplain.gradient.refusal import GradientError
from onnxplain.graph.names import collect_tensor_names, find_unused_prefix

Array: TypeAlias = NDArray[Any]
Feeds: TypeAlias = Mapping[str, Array]
Shape: TypeAlias = tuple[int | None, ...]  # None: a dimension that grows with the batch

# Constants up to this many elements are read: bounds, axes and pads, never weights.
SMALL = 4096

FLOATS: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.DOUBLE: np.dtype(np.float64),
}


class Measure(Protocol):
    """What differentiating asks of a runtime; models pass as serialised ONNX."""

    def fold(self, model: bytes, *, merge: bool = True) -> bytes:
        """Fold constants, using operators of the standard domain alone.

        `merge`: scales may be multiplied into weights.
        """
        ...

    def run(self, model: bytes, feeds: Feeds) -> dict[str, Array]:
        """All outputs of a model, by name, computed without optimising it."""
        ...


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a graph's tensors.

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


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node, with text as `str`."""
    values = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in values.items()
    }


def reads(node: onnx.NodeProto) -> set[str]:
    """Tensors that a node reads, also those that its subgraphs take from outside."""
    names = set(node.input)
    for one in node.attribute:
        for graph in (one.g, *one.graphs):
            for inner in graph.node:
                names |= reads(inner)
    return names


def known_constants(graph: onnx.GraphProto) -> tuple[dict[str, Shape], dict[str, Array]]:
    """Shapes of all tensors stored in a graph, and the values of the small ones."""
    stored = {one.name: one for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            (value,) = attributes(node).values()
            if not isinstance(value, TensorProto):
                value = numpy_helper.from_array(np.asarray(value))
            stored[node.output[0]] = value
    shapes: dict[str, Shape] = {name: tuple(one.dims) for name, one in stored.items()}
    small = {
        name: numpy_helper.to_array(one)
        for name, one in stored.items()
        if np.prod(one.dims, dtype=np.int64) <= SMALL
    }
    return shapes, small


def real_type(graph: onnx.GraphProto, name: str) -> np.dtype[Any]:
    """Type of a graph's real input; GradientError if it is not one to differentiate by."""
    code = next((i.type.tensor_type.elem_type for i in graph.input if i.name == name), None)
    if code is None:
        inputs = ", ".join(one.name for one in graph.input)
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
    """
    shapes, constants = known_constants(model.graph)
    made = [name for node in model.graph.node for name in node.output if name]
    asked = _parameters(model.graph, set(made) - set(constants) - _varying(model.graph))
    prefix = find_unused_prefix("shape of ", collect_tensor_names(model.graph))
    shape_of = {name: f"{prefix}{name}" for name in made}
    probe = _probe(model, shape_of, asked)
    runs = [measure.run(probe, feeds) for feeds in examples]
    sizes = {name: [feeds[name].shape for feeds in examples] for name in examples[0]}
    batches = {tuple(one[0] for one in found if one) for found in sizes.values()}
    for name in made:
        sizes[name] = [tuple(map(int, run[shape_of[name]])) for run in runs]
    shapes |= {name: _common(found) for name, found in sizes.items()}
    rows = {
        name
        for name, found in sizes.items()
        if found[0] and shapes[name][0] is None and tuple(one[0] for one in found) in batches
    }
    for name in asked:
        values = [run[name] for run in runs]
        if values[0].size <= SMALL and all(np.array_equal(values[0], v) for v in values[1:]):
            constants[name] = values[0]
    return Facts(shapes, constants, rows, dtype)


def _common(sizes: Sequence[tuple[int, ...]]) -> Shape:
    """The sizes that are the same in all runs, None for the others."""
    return tuple(one[0] if len(set(one)) == 1 else None for one in zip(*sizes, strict=True))


def _varying(graph: onnx.GraphProto) -> set[str]:
    """Tensors that depend on more of an input than its shape; two runs may agree by chance."""
    found = {value.name for value in graph.input}
    for node in graph.node:
        if node.op_type not in ("Shape", "Size") and reads(node) & found:
            found.update(node.output)
    return found


def _parameters(graph: onnx.GraphProto, made: set[str]) -> list[str]:
    """Computed tensors that may be parameters, as the bounds of a Slice."""
    takers = {"Slice", "Pad", "Gather", "Squeeze", "Unsqueeze", "Clip", "Resize", "Tile", "Pow"}
    found = {
        name
        for node in graph.node
        if node.op_type in takers or node.op_type.startswith("Reduce")
        for name in node.input[1:]
    }
    return sorted(found & made)


def _probe(model: onnx.ModelProto, shape_of: Mapping[str, str], asked: Sequence[str]) -> bytes:
    """The model with the shapes of tensors as outputs under other names, and some themselves."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    graph = probe.graph
    del graph.output[:], graph.value_info[:]
    for name, shape in shape_of.items():
        graph.node.append(helper.make_node("Shape", [name], [shape]))
        graph.output.append(helper.make_tensor_value_info(shape, TensorProto.INT64, None))
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in asked)
    data: bytes = probe.SerializeToString()
    return data
