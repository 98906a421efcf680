"""Formulas written into a graph: `onnxplain.core.formulas.Ops` that writes nodes.

>>> writer = GraphWriter()
>>> ops = GraphOps(writer, opset=17)
>>> x = ops.tensor(writer.add_input("x", np.float32, ["N", 3]))
>>> doubled = ops.relu(2 * x - 1)
>>> [node.op_type for node in writer.graph.node]
['Mul', 'Sub', 'Relu']
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import DTypeLike

from onnxplain.graph.writer import GraphWriter

AXES_ARE_INPUTS = 18  # the opset in which the axes of all reductions became inputs


@final
@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a graph in a formula; arithmetic writes nodes.

    Parameters
    ----------
    ops : GraphOps
        What writes.
    name : str
        The tensor's name.
    """

    ops: GraphOps
    name: str

    def __add__(self, other: Tensor | float) -> Tensor:
        return self.ops.write("Add", self, other)

    def __radd__(self, other: float) -> Tensor:
        return self.ops.write("Add", other, self)

    def __sub__(self, other: Tensor | float) -> Tensor:
        return self.ops.write("Sub", self, other)

    def __rsub__(self, other: float) -> Tensor:
        return self.ops.write("Sub", other, self)

    def __mul__(self, other: Tensor | float) -> Tensor:
        return self.ops.write("Mul", self, other)

    def __rmul__(self, other: float) -> Tensor:
        return self.ops.write("Mul", other, self)

    def __truediv__(self, other: Tensor | float) -> Tensor:
        return self.ops.write("Div", self, other)

    def __rtruediv__(self, other: float) -> Tensor:
        return self.ops.write("Div", other, self)


@final
class GraphOps:
    """Write formulas as standard operators, of any opset from 13.

    Parameters
    ----------
    writer : GraphWriter
        Where the nodes go.
    opset : int
        Version of the graph's standard operators.
    dtype : dtype
        Type of the graph's real numbers.

    Attributes
    ----------
    graph : GraphProto
        The graph.
    """

    def __init__(self, writer: GraphWriter, opset: int, dtype: DTypeLike = np.float32) -> None:
        self._writer = writer
        self.graph = writer.graph
        self._opset = opset
        self._dtype = np.dtype(dtype)

    def tensor(self, name: str) -> Tensor:
        """Return a tensor of the graph for use in formulas."""
        return Tensor(self, name)

    def store(self, value: Any) -> Tensor:
        """Store real numbers in the graph."""
        return self.tensor(self._writer.store(np.asarray(value, self._dtype)))

    def write(self, kind: str, *inputs: Tensor | float, **attributes: Any) -> Tensor:
        """Write a node of one output; numbers among its inputs are stored."""
        names = [x.name if isinstance(x, Tensor) else self.store(x).name for x in inputs]
        return self.tensor(self._writer.op(kind, *names, **attributes))

    def shape(self, kind: str, x: Tensor, *numbers: Sequence[int]) -> Tensor:
        """Write a node whose inputs besides `x` are lists of whole numbers, as Reshape."""
        stored = [self._writer.store(np.array(row, np.int64)) for row in numbers]
        return self.tensor(self._writer.op(kind, x.name, *stored))

    def sum(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Sum along axes, which are kept."""
        return self.shape("ReduceSum", x, axes)

    def mean(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Average along axes, which are kept."""
        return self._reduce("ReduceMean", x, axes)

    def largest(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Return the largest value along axes, which are kept."""
        return self._reduce("ReduceMax", x, axes)

    def _reduce(self, kind: str, x: Tensor, axes: Sequence[int]) -> Tensor:
        if self._opset >= AXES_ARE_INPUTS:
            return self.shape(kind, x, axes)
        return self.write(kind, x, axes=list(axes))

    def relu(self, x: Tensor) -> Tensor:
        """Return what is positive, else 0."""
        return self.write("Relu", x)

    def abs(self, x: Tensor) -> Tensor:
        """Return magnitudes."""
        return self.write("Abs", x)

    def sqrt(self, x: Tensor) -> Tensor:
        """Return square roots."""
        return self.write("Sqrt", x)

    def if_negative(self, x: Tensor, yes: float, no: float) -> Tensor:
        """Return one number where x is negative, and another elsewhere."""
        return self.write("Where", self.write("Less", x, 0.0), yes, no)

    def turn(self, x: Tensor) -> Tensor:
        """Exchange rows and columns."""
        return self.write("Transpose", x, perm=[0, 1, 3, 2])

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """Multiply matrices of rows and columns."""
        return self.write("MatMul", x, y)
