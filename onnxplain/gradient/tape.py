"""The tape on which rules write the nodes of a gradient.

A rule sees one node of the forward graph and the names of the gradients of its outputs. It
writes nodes on the tape and returns the names of the gradients of its inputs. Everything
written is standard ONNX of opset 17, and valid in every later one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx import numpy_helper

from onnxplain.gradient.facts import Array, Facts, Shape
from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import Refusal
from onnxplain.graph.writer import GraphWriter, find_element_type


class Tape:
    """Write the nodes of a gradient; equal nodes are written once.

    Parameters
    ----------
    facts : Facts
        Shapes and constants of the forward graph.
    wanted : iterable of str
        The tensors whose gradients are needed.
    producers : mapping of Node
        The node that computes each tensor; the sources of the gradient have none.
    taken : iterable of str
        Names of the forward graph's tensors.

    Attributes
    ----------
    graph : GraphProto
        The nodes and constants written so far.
    """

    def __init__(
        self,
        facts: Facts,
        wanted: Iterable[str] = (),
        producers: Mapping[str, Node] | None = None,
        *,
        taken: Iterable[str] = (),
    ) -> None:
        self._facts = facts
        self._wanted = frozenset(wanted)
        self._producers = producers or {}
        self._writer = GraphWriter(prefix="gradient/", taken=taken)
        self.graph = self._writer.graph
        self._written: dict[Any, list[str]] = {}

    # Facts of the forward graph.

    def shape(self, name: str) -> Shape:
        """Return the shape of a forward tensor; None for sizes that grow with the batch."""
        return self._facts.shapes[name]

    def sizes(self, name: str, axes: Iterable[int]) -> list[int]:
        """Return the fixed sizes along some axes of a forward tensor."""
        shape = self.shape(name)
        sizes = [shape[axis] for axis in axes]
        if None in sizes:
            raise Refusal(f"it works along an axis of {name!r} that grows with the batch: {shape}")
        return [size for size in sizes if size is not None]

    def constant(self, name: str) -> Array | None:
        """Return the value of a small constant tensor; None if it is not one."""
        return self._facts.constants.get(name)

    def integers(self, name: str, role: str) -> list[int]:
        """Return a small constant tensor as a list of integers; `role` says what they are."""
        value = self.constant(name)
        if value is None:
            raise Refusal(f"its {role} depend on the image")
        return [int(number) for number in value.ravel()]

    def wants(self, name: str) -> bool:
        """Return whether the gradient of a forward tensor is needed."""
        return name in self._wanted

    def producer(self, name: str) -> Node | None:
        """Return the node that computes a tensor; None for inputs, constants and sources."""
        return self._producers.get(name)

    @property
    def code(self) -> int:
        """ONNX's code for the type of the graph's real numbers."""
        return find_element_type(self._facts.dtype)

    # Nodes and constants. Each method returns the name of what it writes.

    def ops(self, kind: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Write a node of several outputs."""
        key = (kind, tuple(inputs), outputs, repr(sorted(attributes.items())))
        if key not in self._written:
            name = self._number(kind)
            self._written[key] = self._writer.ops(kind, inputs, outputs, name=name, **attributes)
        return self._written[key]

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Write a node of one output."""
        return self.ops(kind, inputs, 1, **attributes)[0]

    def _number(self, kind: str) -> str:
        """Return a numbered name; nodes and constants are counted together."""
        return f"{kind}_{len(self.graph.node) + len(self.graph.initializer)}"

    def _store(self, value: Array) -> str:
        return self._writer.store(value, self._number("constant"))

    def real(self, value: Any) -> str:
        """Store a constant of real numbers, in the graph's type."""
        return self._store(np.array(value, self._facts.dtype))

    def ints(self, values: Any) -> str:
        """Store a constant of int64."""
        return self._store(np.array(values, np.int64))

    def mul(self, a: str, b: str) -> str:
        """Write ``a * b``."""
        return self.op("Mul", a, b)

    def scale(self, a: str, factor: float) -> str:
        """Write ``factor * a``."""
        return a if factor == 1 else self.op("Mul", a, self.real(factor))

    def add(self, *terms: str) -> str:
        """Write the sum of one or more tensors."""
        if len(terms) == 1:
            return terms[0]
        return self.op("Add" if len(terms) == 2 else "Sum", *terms)

    def sub(self, a: str, b: str) -> str:
        """Write ``a - b``."""
        return self.op("Sub", a, b)

    def div(self, a: str, b: str) -> str:
        """Write ``a / b``."""
        return self.op("Div", a, b)

    def neg(self, a: str) -> str:
        """Write ``-a``."""
        return self.op("Neg", a)

    def mask(self, condition: str) -> str:
        """Write 1 where a condition holds, else 0.

        On the CPU provider, multiplying by it takes a tenth of the time of `Where`.
        """
        return self.op("Cast", condition, to=self.code)

    def sum(self, a: str, axes: Sequence[int], *, keep: bool = True) -> str:
        """Write the sum along some axes."""
        return self.op("ReduceSum", a, self.ints(axes), keepdims=int(keep)) if axes else a

    def slice(self, a: str, starts: list[int], stops: list[int], axes: list[int]) -> str:
        """Write ``a[start:stop]`` along some axes."""
        return self.op("Slice", a, self.ints(starts), self.ints(stops), self.ints(axes))

    def flip(self, a: str, axes: Sequence[int]) -> str:
        """Reverse the order along some axes."""
        if not axes:
            return a
        last, before_first = [-1] * len(axes), [np.iinfo(np.int64).min] * len(axes)
        stops, steps = self.ints(before_first), self.ints(last)
        return self.op("Slice", a, self.ints(last), stops, self.ints(axes), steps)

    def pad(self, a: str, before: Sequence[int], after: Sequence[int]) -> str:
        """Put zeros before and after, along every axis."""
        if not any(before) and not any(after):
            return a
        return self.op("Pad", a, self.ints([*before, *after]), self.real(0))

    def unsqueeze(self, a: str, axes: Sequence[int]) -> str:
        """Add axes of length 1."""
        return self.op("Unsqueeze", a, self.ints(axes)) if axes else a

    def transpose(self, a: str, order: Sequence[int]) -> str:
        """Put the axes in another order."""
        if list(order) == list(range(len(order))):
            return a
        return self.op("Transpose", a, perm=[int(axis) for axis in order])

    def reshape(self, a: str, shape: Sequence[int | None]) -> str:
        """Reshape to a shape of which at most one entry is None."""
        return self.op("Reshape", a, self.ints([-1 if size is None else size for size in shape]))

    def reshape_like(self, a: str, name: str) -> str:
        """Reshape to the shape of a forward tensor."""
        shape = self.shape(name)
        if shape.count(None) > 1:
            return self.op("Reshape", a, self.op("Shape", name))
        return self.reshape(a, shape)

    def fill_like(self, name: str, value: float) -> str:
        """Repeat a number to the shape of a tensor."""
        number = numpy_helper.from_array(np.full(1, value, self._facts.dtype))
        return self.op("ConstantOfShape", self.op("Shape", name), value=number)

    def zeros_like(self, name: str) -> str:
        """Write zeros in the shape of a tensor."""
        return self.fill_like(name, 0)

    def spread(self, a: str, name: str, axes: Sequence[int], factor: float = 1) -> str:
        """Repeat `a` along axes where it has length 1, to the shape of a forward tensor.

        On the CPU provider, multiplying by a constant takes a fifth of the time of `Expand`;
        the constant includes the factor.
        """
        shape = self.shape(name)
        if any(shape[axis] is None for axis in axes):
            return self.op("Expand", self.scale(a, factor), self.op("Shape", name))
        sizes = [(shape[axis] or 1) if axis in axes else 1 for axis in range(len(shape))]
        return self.mul(a, self.real(np.full(sizes, factor)))

    def unbroadcast(self, a: str, shape: Shape, name: str) -> str:
        """Sum a gradient of this shape over the axes along which a tensor was repeated."""
        small = self.shape(name)
        new = len(shape) - len(small)
        repeated = [
            new + axis for axis, size in enumerate(small) if size == 1 and shape[new + axis] != 1
        ]
        total = self.sum(a, [*range(new), *repeated])
        return self.reshape_like(total, name) if new else total

    def contract(self, a: str, matrix: str, axis: int, rank: int) -> str:
        """Multiply along one axis: (..., L, ...) by (L, K) gives (..., K, ...)."""
        if axis == rank - 1:
            return self.op("MatMul", a, matrix)
        if axis == rank - 2:
            return self.op("MatMul", self.transpose(matrix, [1, 0]), a)
        order = [*(other for other in range(rank) if other != axis), axis]
        moved = self.op("MatMul", self.transpose(a, order), matrix)
        return self.transpose(moved, [order.index(original) for original in range(rank)])


Grads: TypeAlias = Sequence[str | None]
Rule: TypeAlias = Callable[[Tape, Node, Grads], Grads]


def first_output_rule(rule: Callable[[Tape, Node, str], Grads]) -> Rule:
    """Make a rule from a function that takes only the gradient of the first output."""

    @functools.wraps(rule)
    def apply(tape: Tape, node: Node, grads: Grads) -> Grads:
        first, *others = grads
        if first is None or any(grad is not None for grad in others):
            raise Refusal("the score depends on one of its outputs other than the first")
        return rule(tape, node, first)

    return apply
