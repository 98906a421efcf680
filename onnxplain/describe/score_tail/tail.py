"""The operators before the scores, read from the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from onnxplain.describe.score_tail.values import TINY, Values
from onnxplain.graph.load import ModelFile
from onnxplain.graph.nodes import find_producers

# Operators that change the form of a tensor and not its values, up to rounding.
PASSING = {
    "Cast",
    "DequantizeLinear",
    "Dropout",
    "Flatten",
    "Identity",
    "QuantizeLinear",
    "Reshape",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
MOST_STEPS = 100  # from the output back


@final
class Tail:
    """The operators before an output.

    Parameters
    ----------
    model : ModelFile
        The classifier.
    classes : int or None
        Number of classes, if it is known.
    readers : mapping of Reader
        What is known of the result of an operator, by its name; None if nothing is.
    """

    def __init__(
        self, model: ModelFile, classes: int | None, readers: Mapping[str, Reader]
    ) -> None:
        graph = model.proto.graph
        self.classes = classes
        self.shapes = model.shapes
        self._producers = find_producers(graph)
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._readers = readers
        self._known: dict[str, Values | None] = {}

    def read(self, name: str) -> Values | None:
        """Return what is known of a tensor."""
        node = self._producers.get(name)
        if node is None or len(self._known) > MOST_STEPS:
            return None
        if name not in self._known:
            self._known[name] = None  # counts from now on
            read = self._readers.get(node.op_type)
            self._known[name] = None if read is None else read(self, node)
        return self._known[name]

    def get_maker(self, name: str) -> NodeProto | None:
        """Return the node that makes a tensor."""
        return self._producers.get(name)

    def find_origin(self, name: str) -> NodeProto | None:
        """Return the first node before a tensor that does more than pass its values on."""
        return self.get_maker(self.trace_passing(name))

    def trace_passing(self, name: str) -> str:
        """Return the tensor whose values a tensor has, up to its form."""
        while (node := self.get_maker(name)) is not None and node.op_type in PASSING:
            name = node.input[0]
        return name

    def has_classes_at(self, name: str, axis: int) -> bool:
        """Return whether an axis of a tensor is as long as there are classes."""
        dims = self.shapes.dims(name) or ()
        return -len(dims) <= axis < len(dims) and dims[axis] == self.classes

    def get_constant(self, name: str) -> NDArray[Any] | None:
        """Return a stored tensor of numbers; None if it is none, or lies in another file."""
        tensor, node = self._stored.get(name), self.get_maker(name)
        if tensor is None and node is not None and node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            if isinstance(value, float):
                return np.array(value)
            tensor = value if isinstance(value, TensorProto) else None
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
            return self.shapes.values.get(name)
        array: NDArray[Any] = numpy_helper.to_array(tensor)
        return array if array.size and array.dtype.kind in "iuf" else None

    def is_one(self, name: str) -> bool:
        """Return whether a tensor is the constant 1."""
        constant = self.get_constant(name)
        return constant is not None and bool((constant == 1).all())


# Returns what is known of the result of a node.
Reader: TypeAlias = Callable[[Tail, NodeProto], Values | None]


def is_tiny(constant: NDArray[Any]) -> bool:
    """Return whether a constant is so small that it changes nothing."""
    return bool(abs(constant).max() <= TINY)
