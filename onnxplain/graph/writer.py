"""Writing nodes, constants, inputs and outputs into an ONNX graph.

Methods return the names of the tensors that they write, so that code reads like the formula
that the graph computes, in the manner of onnx-ir's tape:

>>> writer = GraphWriter()
>>> x = writer.add_input("x", np.float32, ["N", 3])
>>> doubled = writer.op("Mul", x, writer.store(np.array(2, np.float32)))
>>> writer.add_output("y", np.float32, ["N", 3], source=doubled)
>>> model = writer.build_model("double", opset=17, ir_version=8)
>>> [node.op_type for node in model.graph.node]
['Mul', 'Identity']
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import DTypeLike, NDArray
from onnx import GraphProto, ModelProto, ValueInfoProto, helper, numpy_helper

from onnxplain.graph.names import collect_tensor_names, find_unused_name, find_unused_prefix

# Dimensions to declare: a number, the name of one that varies, or None for an open one.
DeclaredShape: TypeAlias = Sequence[int | str | None]


@final
class GraphWriter:
    """Write into a new graph or an existing one.

    Parameters
    ----------
    graph : GraphProto, optional
        Changed in place; a new one if not given.
    prefix : str
        Start of the names that the writer makes up. Underscores are put before it where names
        in use begin with it.
    taken : iterable of str, optional
        The names in use; those of the graph's tensors if not given.
    at : int, optional
        Place in the graph's list of nodes where the written ones go, as 0 for before all
        others; its end if not given.
    share : bool
        Whether constants of equal type, shape and values are stored once.
    """

    def __init__(
        self,
        graph: GraphProto | None = None,
        *,
        prefix: str = "",
        taken: Iterable[str] | None = None,
        at: int | None = None,
        share: bool = True,
    ) -> None:
        self.graph = GraphProto() if graph is None else graph
        self._taken = collect_tensor_names(self.graph) if taken is None else set(taken)
        self.prefix = find_unused_prefix(prefix, self._taken) if prefix else ""
        self._at = at
        self._share = share
        self._stored: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def op(
        self,
        kind: str,
        *inputs: str,
        name: str | None = None,
        out: str | None = None,
        **attributes: Any,
    ) -> str:
        """Write a node of one output and return the output's name.

        Parameters
        ----------
        kind : str
            Operator, such as ``'Conv'``.
        *inputs : str
            Tensors; an empty name for an optional one that is left out.
        name : str, optional
            Name of the node and its output, behind the prefix; the operator and the number of
            nodes before it if not given.
        out : str, optional
            Exact name of the output; the node itself then has no name.
        **attributes
            Attributes of the node.
        """
        if out is None:
            return self.ops(kind, inputs, 1, name=name, **attributes)[0]
        self._append(kind, inputs, [out], None, attributes)
        return out

    def ops(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: int,
        *,
        name: str | None = None,
        **attributes: Any,
    ) -> list[str]:
        """Write a node of several outputs and return their names."""
        name = self._make_name(name or f"{kind}_{len(self.graph.node)}")
        names = [f"{name}:{index}" if index else name for index in range(outputs)]
        self._append(kind, inputs, names, name, attributes)
        return names

    def _append(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: list[str],
        name: str | None,
        attributes: dict[str, Any],
    ) -> None:
        node = helper.make_node(kind, inputs, outputs, name=name, **attributes)
        self._taken.update(outputs)
        if self._at is None:
            self.graph.node.append(node)
        else:
            self.graph.node.insert(self._at, node)
            self._at += 1

    def store(self, value: NDArray[Any], name: str | None = None) -> str:
        """Store a constant and return its name.

        Parameters
        ----------
        value : ndarray
            The constant.
        name : str, optional
            Its name behind the prefix; ``constant`` and the number of constants before it if
            not given. A constant that is shared keeps its first name.
        """
        key = (value.dtype.str, value.shape, value.tobytes())
        if self._share and key in self._stored:
            return self._stored[key]
        name = self._make_name(name or f"constant_{len(self.graph.initializer)}")
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        self._taken.add(name)
        self._stored[key] = name
        return name

    def _make_name(self, name: str) -> str:
        return self.find_name(f"{self.prefix}{name}")

    def find_name(self, name: str) -> str:
        """Return a name that no tensor has: this one, or with underscores behind it."""
        return find_unused_name(name, self._taken)

    def add_input(self, name: str, dtype: DTypeLike, shape: DeclaredShape) -> str:
        """Declare an input of the graph and return its name."""
        self.graph.input.append(declare_tensor(name, dtype, shape))
        self._taken.add(name)
        return name

    def add_output(
        self, name: str, dtype: DTypeLike, shape: DeclaredShape, *, source: str | None = None
    ) -> None:
        """Declare an output of the graph: a copy of `source`, or the tensor of that name."""
        if source is not None:
            self.op("Identity", source, out=name)
        self.graph.output.append(declare_tensor(name, dtype, shape))

    def build_model(self, name: str, *, opset: int, ir_version: int) -> ModelProto:
        """Return the graph, which gets a name, as a model of standard operators."""
        self.graph.name = name
        imports = [helper.make_opsetid("", opset)]
        return helper.make_model(self.graph, opset_imports=imports, ir_version=ir_version)


def find_element_type(dtype: DTypeLike) -> int:
    """Return ONNX's number for a NumPy type."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def declare_tensor(name: str, dtype: DTypeLike, shape: DeclaredShape) -> ValueInfoProto:
    """Return a declaration of a tensor's type and shape."""
    return helper.make_tensor_value_info(name, find_element_type(dtype), shape)
