"""Shapes of a graph's tensors, and the values of the few small ones that make up shapes.

Exporters compute many shapes inside the graph (``Shape``, ``Gather``, ``Concat`` ...). These
small computations are carried out here, so that the sizes of tensors are known without a
session. Of weights only the shape is used, and none is copied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

from onnxplain.graph.constants import evaluate, read_small_value
from onnxplain.graph.nodes import read_int
from onnxplain.graph.stand_ins import adapt_inputs, adapt_outputs, find_stand_in

Dims: TypeAlias = tuple[int | None, ...]

STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
# Size of the input dimensions that the graph leaves open, where no other size is given.
OPEN_PIXELS = 224


class ShapeMismatch(Exception):
    """A node's inputs do not fit one another."""


class Shapes:
    """The types and small values known so far; `step` adds the outputs of one more node.

    Parameters
    ----------
    opsets : mapping of str to int
        Version of each domain that the model imports.
    types : mapping of str to TypeProto
        Types by the names known from outside: inputs, initialisers, an enclosing graph.
    values : mapping of str to ndarray
        Values of the small tensors among them.
    """

    def __init__(
        self,
        opsets: dict[str, int],
        types: dict[str, TypeProto] | None = None,
        values: dict[str, NDArray[Any]] | None = None,
    ) -> None:
        self.opsets = opsets
        self.types = dict(types or {})
        self.values = dict(values or {})

    @classmethod
    def of_inputs(
        cls, proto: ModelProto, *, batch: int = 1, size: tuple[int, int] | None = None
    ) -> Shapes:
        """Start from a model's inputs and initialisers.

        The first dimension of inputs becomes `batch` where it is open or 1; other open
        dimensions become those of `size` (rows, columns) or `OPEN_PIXELS`.
        """
        opsets = {entry.domain: entry.version for entry in proto.opset_import}
        shapes = cls(opsets)
        shapes.add_initializers(proto.graph)
        for value in list_fed_inputs(proto.graph):
            dims = fill_open_dims(read_declared_dims(value), batch=batch, size=size)
            shapes.set(value.name, value.type.tensor_type.elem_type, dims)
        return shapes

    def add_initializers(self, graph: GraphProto) -> None:
        """Add a graph's stored tensors."""
        for tensor in graph.initializer:
            self.set(tensor.name, tensor.data_type, tuple(tensor.dims))
            self._keep_value(tensor, tensor.name)
        for sparse in graph.sparse_initializer:
            self.set(sparse.values.name, sparse.values.data_type, tuple(sparse.dims))

    def set(self, name: str, element_type: int, dims: Dims | None) -> None:
        """Set the type of a tensor."""
        self.types[name] = helper.make_tensor_type_proto(element_type, dims)

    def dims(self, name: str) -> Dims | None:
        """Return the dimensions of a tensor, None for an open one; None if their number is open."""
        return read_type_dims(self.types[name]) if name in self.types else None

    def count(self, name: str) -> int | None:
        """Return the number of elements of a tensor, or None if it is not known."""
        return count_elements(self.dims(name))

    def bytes(self, name: str) -> int | None:
        """Return the size of a tensor in bytes, or None if it is not known."""
        count = self.count(name)
        element_type = self.types[name].tensor_type.elem_type if count is not None else 0
        if count is None or element_type not in helper.get_all_tensor_dtypes():
            return None
        return count * helper.tensor_dtype_to_np_dtype(element_type).itemsize

    def step(self, node: NodeProto) -> None:
        """Add what is known of a node's outputs.

        Raises
        ------
        ShapeMismatch
            If its inputs do not fit one another; its outputs are then unknown.
        """
        if node.op_type == "Constant" and node.domain in STANDARD_DOMAINS:
            self._add_constant(node)
            return
        self.types |= self.infer_types(node, self.types)
        self._evaluate(node)

    def _add_constant(self, node: NodeProto) -> None:
        (attribute,) = node.attribute
        value = helper.get_attribute_value(attribute)
        if attribute.name == "sparse_value":
            self.set(node.output[0], value.values.data_type, tuple(value.dims))
        elif not isinstance(value, TensorProto):
            integers = attribute.name in ("value_int", "value_ints")
            if attribute.name not in ("value_string", "value_strings"):
                array = np.asarray(value, np.int64 if integers else np.float32)
                value = numpy_helper.from_array(array)
        if isinstance(value, TensorProto):
            self.set(node.output[0], value.data_type, tuple(value.dims))
            self._keep_value(value, node.output[0])

    def _keep_value(self, tensor: TensorProto, name: str) -> None:
        """Keep the value of a stored tensor if it is small and could make up a shape."""
        value = read_small_value(tensor)
        if value is not None:
            self.values[name] = value

    def infer_types(self, node: NodeProto, types: Mapping[str, TypeProto]) -> dict[str, TypeProto]:
        """Return the types of a node's outputs by name, as far as ONNX can infer them.

        Parameters
        ----------
        node : NodeProto
            The node.
        types : mapping of TypeProto
            Those of its inputs, by name.

        Raises
        ------
        ShapeMismatch
            If its inputs do not fit one another.
        """
        standard = _find_standard(node)
        if standard is None:
            return {}
        default = self.opsets.get("ai.onnx", 1) if standard.domain == "" else 1
        version = self.opsets.get(standard.domain, default)
        try:
            schema = onnx.defs.get_schema(standard.op_type, version, standard.domain)
        except onnx.defs.SchemaError:
            return {}
        if any(name and name not in types for name in standard.input):
            return {}
        if standard.op_type != node.op_type or node.domain not in STANDARD_DOMAINS:
            fewest = max(schema.min_input, 1)  # nobody checked those of other domains
            if not node.output or len(list(filter(None, standard.input[:fewest]))) < fewest:
                return {}
        stands_in = node.domain not in STANDARD_DOMAINS
        input_types = {name: types[name] for name in standard.input if name}
        if stands_in:  # it may have attributes that the standard one has not
            kept = [entry for entry in node.attribute if entry.name in schema.attributes]
            standard.attribute.extend(kept)
            element_type = types[standard.input[0]].tensor_type.elem_type
            input_types = adapt_inputs(node, standard, types)
        input_values = {
            name: numpy_helper.from_array(self.values[name], name)
            for name in standard.input
            if name in self.values
        }
        try:
            inferred: dict[str, TypeProto] = onnx.shape_inference.infer_node_outputs(
                schema, standard, input_types, input_values
            )
        except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
            raise ShapeMismatch(str(error).splitlines()[0]) from error
        except (ValueError, RuntimeError) as error:  # an invalid element type or string
            raise ShapeMismatch(str(error)) from error
        if stands_in:
            inferred = adapt_outputs(node, inferred, element_type)
        return {name: type_proto for name, type_proto in inferred.items() if name}

    def _evaluate(self, node: NodeProto) -> None:
        """Compute the small values of a node's outputs, if the values of its inputs are known."""
        if node.domain not in ("", "ai.onnx") or not node.output:
            return
        if node.op_type in ("Shape", "Size"):
            dims = self.dims(node.input[0])
            if dims is not None and None not in dims:
                start, end = read_int(node, "start"), read_int(node, "end", len(dims))
                sides = dims[start:end]
                counted = sides if node.op_type == "Shape" else math.prod(drop_open(dims))
                self.values[node.output[0]] = np.array(counted, np.int64)
            return
        if node.input and node.input[0] not in self.values:
            return
        counts = {name: self.count(name) for name in node.output if name}
        self.values |= evaluate(node, self.values, self.types, counts, self.opsets)


def _find_standard(node: NodeProto) -> NodeProto | None:
    """Return a standard operator whose shape is that of a node; the node itself if it is one."""
    if node.domain not in STANDARD_DOMAINS:
        return find_stand_in(node)
    if node.domain != "ai.onnx":
        return node
    standard = NodeProto()
    standard.CopyFrom(node)
    standard.domain = ""
    return standard


def drop_open(dims: Dims) -> list[int]:
    """Return the dimensions that are known."""
    return [dim for dim in dims if dim is not None]


def list_fed_inputs(graph: GraphProto) -> list[onnx.ValueInfoProto]:
    """List the inputs that must be fed; old files list their weights among the inputs too."""
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {sparse.values.name for sparse in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in stored]


def read_type_dims(type_proto: TypeProto) -> Dims | None:
    """Return the dimensions that a type holds: None for an open one, or if none are given."""
    if not type_proto.HasField("tensor_type") or not type_proto.tensor_type.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None
        for dim in type_proto.tensor_type.shape.dim
    )


def read_declared_dims(value: onnx.ValueInfoProto) -> Dims | None:
    """Return the dimensions of a graph's input or output; exporters write 0 or -1 for open ones."""
    dims = read_type_dims(value.type)
    return None if dims is None else tuple(dim or None for dim in dims)


def count_elements(dims: Dims | None) -> int | None:
    """Return the number of elements of a tensor of these dimensions, if all are known.

    >>> count_elements((2, 3)), count_elements((2, None))
    (6, None)
    """
    if dims is None:
        return None
    count = 1
    for dim in dims:
        if dim is None:
            return None
        count *= dim
    return count


def fill_open_dims(
    dims: Dims | None, *, batch: int = 1, size: tuple[int, int] | None = None
) -> Dims | None:
    """Return the dimensions of an input with the batch set and every open one given a value.

    A fixed batch other than 1 stays.

    >>> fill_open_dims((None, 3, None, None), batch=2, size=(32, 48))
    (2, 3, 32, 48)
    """
    if not dims:
        return dims
    rows, columns = size or (OPEN_PIXELS, OPEN_PIXELS)
    stand_ins: Dims = (batch, *[OPEN_PIXELS] * (len(dims) - 1))
    if len(dims) == 4:
        channels_last = dims[3] in (1, 3)
        stand_ins = (batch, rows, columns, 3) if channels_last else (batch, 3, rows, columns)
    first = batch if dims[0] in (None, 1) else dims[0]
    return (
        first,
        *(
            stand_in if dim is None else dim
            for dim, stand_in in zip(dims[1:], stand_ins[1:], strict=True)
        ),
    )
