"""Shapes of a graph's tensors, and the values of the few small ones that make up shapes.

Exporters compute many shapes inside the graph (``Shape``, ``Gather``, ``Concat`` ...). Those
little sums are carried out here, so that what they allot can be known without a session.
Weights are looked at by shape alone, and none is copied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

Dims: TypeAlias = tuple[int | None, ...]

STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
# Values are followed for whole numbers and for factors of a Resize, not for weights.
LARGEST_VALUE = 1024
LARGEST_FLOAT = 16
WHOLE = (
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.BOOL,
)
# What input dimensions that the graph leaves open are taken to be, where nothing is said.
OPEN_PIXELS = 224

# Fused operators that ONNX Runtime's optimiser writes, and the standard one of equal shape.
FUSED = {
    "FusedConv": "Conv",
    "FusedGemm": "Gemm",
    "FusedMatMul": "MatMul",
    "Gelu": "Relu",
    "BiasGelu": "Add",
    "FastGelu": "Relu",
    "QuickGelu": "Relu",
    "SkipLayerNormalization": "Add",
    "QuantizeLinear": "QuantizeLinear",
    "DequantizeLinear": "DequantizeLinear",
}


class ShapeMismatch(Exception):
    """A node's inputs do not fit one another."""


class Shapes:
    """What is known of the tensors so far; `step` adds the outputs of one more node.

    Parameters
    ----------
    opsets : mapping of str to int
        Version of each domain that the model imports.
    types : mapping
        Types of names known from outside: inputs, initialisers, an enclosing graph.
    values : mapping
        Values of the small ones among them.
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

        The first dimension of image-like inputs becomes `batch`, others that are open
        become `size` or a stand-in.
        """
        opsets = {entry.domain: entry.version for entry in proto.opset_import}
        shapes = cls(opsets)
        shapes.add_initializers(proto.graph)
        for value in list_fed_inputs(proto.graph):
            kind = value.type.tensor_type
            dims = fill_open_dims(read_declared_dims(value), batch=batch, size=size)
            shapes.set(value.name, kind.elem_type, dims)
        return shapes

    def add_initializers(self, graph: GraphProto) -> None:
        """Take in a graph's stored tensors."""
        for tensor in graph.initializer:
            self.set(tensor.name, tensor.data_type, tuple(tensor.dims))
            self._keep(tensor)
        for sparse in graph.sparse_initializer:
            self.set(sparse.values.name, sparse.values.data_type, tuple(sparse.dims))

    def set(self, name: str, element: int, dims: Dims | None) -> None:
        """Declare a tensor."""
        self.types[name] = helper.make_tensor_type_proto(element, dims)

    def dims(self, name: str) -> Dims | None:
        """Dimensions of a tensor, None for an unknown one; None if not even their number."""
        return read_type_dims(self.types[name]) if name in self.types else None

    def count(self, name: str) -> int | None:
        """Elements of a tensor, or None if that is not known."""
        return count_elements(self.dims(name))

    def bytes(self, name: str) -> int | None:
        """Size of a tensor, or None if that is not known."""
        count = self.count(name)
        element = self.types[name].tensor_type.elem_type if count is not None else 0
        if count is None or element not in helper.get_all_tensor_dtypes():
            return None
        return count * helper.tensor_dtype_to_np_dtype(element).itemsize

    def step(self, node: NodeProto) -> None:
        """Add what is known of a node's outputs.

        Raises
        ------
        ShapeMismatch
            If its inputs cannot go together; its outputs are then unknown.
        """
        if node.op_type == "Constant" and node.domain in STANDARD_DOMAINS:
            self._constant(node)
            return
        for name, kind in self._infer(node).items():
            self.types[name] = kind
        self._evaluate(node)

    def _constant(self, node: NodeProto) -> None:
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
            self._keep(value, node.output[0])

    def _keep(self, tensor: TensorProto, name: str = "") -> None:
        floats = tensor.data_type in (TensorProto.FLOAT, TensorProto.DOUBLE)
        whole = tensor.data_type in WHOLE
        limit = LARGEST_FLOAT if floats else LARGEST_VALUE if whole else -1
        inside = tensor.data_location != TensorProto.EXTERNAL
        if inside and math.prod(tensor.dims) <= limit:
            self.values[name or tensor.name] = numpy_helper.to_array(tensor)

    def _infer(self, node: NodeProto) -> dict[str, TypeProto]:
        op, domain = node.op_type, node.domain if node.domain != "ai.onnx" else ""
        if domain == "com.microsoft" and op in FUSED:
            op, domain = FUSED[op], ""
        version = self.opsets.get(domain, self.opsets.get("ai.onnx", 1) if domain == "" else 1)
        try:
            schema = onnx.defs.get_schema(op, version, domain)
        except onnx.defs.SchemaError:
            return {}
        if any(name and name not in self.types for name in node.input):
            return {}
        known = {name: self.types[name] for name in node.input if name}
        data = {
            name: numpy_helper.from_array(self.values[name], name)
            for name in node.input
            if name in self.values
        }
        if node.domain == "com.microsoft":
            node = helper.make_node(op, list(node.input), list(node.output))
        try:
            inferred: dict[str, TypeProto] = onnx.shape_inference.infer_node_outputs(
                schema, node, known, data
            )
        except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
            raise ShapeMismatch(str(error).splitlines()[0]) from error
        except (ValueError, RuntimeError) as error:  # an element type or text that is none
            raise ShapeMismatch(str(error)) from error
        return {name: kind for name, kind in inferred.items() if name}

    def _evaluate(self, node: NodeProto) -> None:
        """Work out a small value, if all that it is made of is known."""
        if node.domain not in STANDARD_DOMAINS or not node.output:
            return
        if node.op_type == "Shape" and None not in (dims := self.dims(node.input[0]) or (None,)):
            keys = {a.name: a.i for a in node.attribute}
            self.values[node.output[0]] = np.array(
                dims[keys.get("start", 0) : keys.get("end")], np.int64
            )
            return
        used = [name for name in node.input if name]
        if not used or any(name not in self.values for name in used):
            return
        counts = [self.count(name) for name in node.output if name]
        if any(count is None or count > LARGEST_VALUE for count in counts):
            return
        for name, value in zip(node.output, self._run(node, used), strict=False):
            # No texts: operators on them can run for ever.
            if value.dtype.kind in ("iubf" if value.size <= LARGEST_FLOAT else "iub"):
                self.values[name] = value

    def _run(self, node: NodeProto, used: Sequence[str]) -> list[NDArray[Any]]:
        from onnx.reference import ReferenceEvaluator

        graph = helper.make_graph(
            [node],
            "one",
            [helper.make_value_info(name, self.types[name]) for name in dict.fromkeys(used)],
            [helper.make_value_info(name, TypeProto()) for name in node.output],
        )
        imports = [helper.make_opsetid(*entry) for entry in self.opsets.items()]
        one = helper.make_model(graph, opset_imports=imports)
        try:
            with np.errstate(all="ignore"):
                results = ReferenceEvaluator(one).run(None, {n: self.values[n] for n in used})
        except Exception:  # whatever an odd node raises, its value is just not known
            return []
        return [np.asarray(result) for result in results]


def list_fed_inputs(graph: GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that must be fed: old files list their weights among the inputs too."""
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {sparse.values.name for sparse in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in stored]


def read_type_dims(kind: TypeProto) -> Dims | None:
    """Dimensions that a type holds; None where one is open, or all if none are given."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None
        for d in kind.tensor_type.shape.dim
    )


def read_declared_dims(value: onnx.ValueInfoProto) -> Dims | None:
    """Dimensions of a graph's input or output; exporters write 0 or -1 for open ones."""
    dims = read_type_dims(value.type)
    return None if dims is None else tuple(dim or None for dim in dims)


def count_elements(dims: Dims | None) -> int | None:
    """Elements of a tensor of these dimensions, if all are known."""
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
    """Dimensions of an input with the batch set and every open one given a value."""
    if not dims:
        return dims
    rows, columns = size or (OPEN_PIXELS, OPEN_PIXELS)
    open_as: Dims = (batch, *[OPEN_PIXELS] * (len(dims) - 1))
    if len(dims) == 4:
        last = dims[3] in (1, 3)
        open_as = (batch, rows, columns, 3) if last else (batch, 3, rows, columns)
    first = batch if dims[0] in (None, 1) else dims[0]
    return (
        first,
        *(b if a is None else a for a, b in zip(dims[1:], open_as[1:], strict=True)),
    )


def list_subgraphs(node: NodeProto) -> Iterator[tuple[str, GraphProto]]:
    """The graphs that a node holds, with the names of their attributes."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.name, attribute.g
        for graph in attribute.graphs:
            yield attribute.name, graph
