"""What the last operators of a classifier make of its scores, as far as it follows from them.

Only what is certain counts: where an operator is not understood, nothing is known, and the
answers to probe images have to show what the scores are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnxplain.core.spec import Head
from onnxplain.graph.load import ModelFile
from onnxplain.graph.shapes import Shapes

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
WEIGHTED = {  # whatever they are given, they return values of any size
    "Conv",
    "FusedMatMul",
    "Gemm",
    "MatMul",
    "QGemm",
    "QLinearConv",
    "QLinearMatMul",
}
SIGMOIDS = {"Sigmoid", "QLinearSigmoid", "HardSigmoid"}
SOFTMAXES = {"Softmax", "QLinearSoftmax"}
POOLING = {"AveragePool", "GlobalAveragePool", "QLinearGlobalAveragePool", "ReduceMean"}
PICKING = {"Gather", "GatherElements", "Slice", "Split"}
NOT_NEGATIVE = {"Abs", "Exp", "Relu", "Softplus", *SIGMOIDS, *SOFTMAXES}
# Functions that neither a softmax nor a sigmoid makes probabilities of, as a rule.
BENDING = {
    *("Abs", "Cos", "Erf", "Exp", "Log", "Neg", "Pow", "Reciprocal", "Sin", "Softplus"),
    *("Softsign", "Sqrt", "Tanh"),
}
MOST_ROUNDED = 0.02  # of the largest probability, by which a rounding may change it
TINY = 1e-3  # a constant below this keeps a logarithm or a division finite, and no more
MOST_STEPS = 100  # from the output back


@dataclass(frozen=True, slots=True)
class Values:
    """What is known of a tensor.

    Parameters
    ----------
    kind : str
        ``distribution``: rows of probabilities with a sum of `total`. ``labels``: numbers from 0
        to `total` that a sigmoid makes, each of its own. ``unit``: other probabilities from 0 to
        `total`, such as those of some of the classes. ``logits``: any numbers. ``bent``: the
        result of a function such as tanh, which may mean anything. Three are no scores of
        classes: ``softmax of another axis``, ``top values`` and ``logarithms of labels``.
    total : float
        See above.
    """

    kind: str
    total: float = 1.0

    @property
    def are_probabilities(self) -> bool:
        """Whether they are probabilities, up to a factor."""
        return self.kind in ("distribution", "labels", "unit")


def find_head(model: ModelFile, output: str, classes: int | None) -> Head | None:
    """Return what the scores are, or None if the graph's tail does not tell.

    Probabilities may have a factor, as percentages have: `find_factor` returns it.
    """
    values = read_tail(model, output, classes)
    if values is None:
        return None
    if values.are_probabilities:
        if classes == 1:
            return "probability"
        return "multilabel-probabilities" if values.kind == "labels" else "probabilities"
    return "logits" if values.kind == "logits" and classes != 1 else None


def find_factor(model: ModelFile, output: str, classes: int | None) -> float:
    """Return what makes probabilities of the scores, if they are that up to a factor; else 1."""
    values = read_tail(model, output, classes)
    if values is None or not values.are_probabilities or abs(values.total - 1) < TINY:
        return 1.0
    return 1 / values.total


def read_tail(model: ModelFile, output: str, classes: int | None) -> Values | None:
    """Return what is known of a graph's scores."""
    return _Tail(model.proto, model.shapes, classes).read(output)


class _Tail:
    """The operators before an output, read from the end."""

    def __init__(self, proto: ModelProto, shapes: Shapes, classes: int | None) -> None:
        self.producers = {name: node for node in proto.graph.node for name in node.output}
        self.stored = {tensor.name: tensor for tensor in proto.graph.initializer}
        self.shapes = shapes
        self.classes = classes
        self.steps = 0
        self.known: dict[str, Values | None] = {}

    def read(self, name: str) -> Values | None:
        """Return what is known of a tensor."""
        node = self.producers.get(name)
        if node is None or self.steps > MOST_STEPS:
            return None
        if name not in self.known:
            self.steps += 1
            self.known[name] = self._read_node(node, name)
        return self.known[name]

    def _read_node(self, node: NodeProto, name: str) -> Values | None:
        op = node.op_type
        if op in WEIGHTED:
            return Values("logits")
        if op in SIGMOIDS | SOFTMAXES and self._is_top(node):
            return Values("top values")
        if op in SIGMOIDS:
            return Values("labels")
        if op in SOFTMAXES:
            return self._read_softmax(node)
        if op in PASSING:
            return self.read(node.input[0])
        if op in POOLING:
            return self._read_pooling(node)
        if op in PICKING:
            return self._read_picking(node, name)
        read = READERS.get(op)
        values = read(self, node) if read is not None else None
        return Values("bent") if values is None and op in BENDING else values

    def _is_top(self, node: NodeProto) -> bool:
        values = self.read(node.input[0])
        return values is not None and values.kind == "top values"

    def _read_softmax(self, node: NodeProto) -> Values | None:
        """Read a softmax: at batch 1, it must run over all the classes of the image."""
        attributes = _read_attributes(node)
        opset = attributes.get("opset", self.shapes.opsets.get("", 1))
        dims = self.shapes.dims(node.input[0])
        axis = attributes.get("axis", -1 if opset >= 13 else 1)
        if dims is None:
            return None
        if axis < -len(dims) or axis >= len(dims):
            return None
        if len(dims) == 2 and axis % 2 == 1:
            return Values("distribution")
        if None in dims:
            return None
        sizes = [dim or 0 for dim in dims]
        # Before opset 13, a softmax runs over all axes from the given one on.
        over = sizes[axis % len(dims)] if opset >= 13 else math.prod(sizes[axis % len(dims) :])
        if over == 1:
            return Values("softmax of another axis")
        return Values("distribution") if self.classes in (None, over) else None

    def _read_pooling(self, node: NodeProto) -> Values | None:
        """Read a mean over other axes than the classes', which keeps what it is given."""
        values = self.read(node.input[0])
        if values is None or values.kind in ("labels", "unit"):
            return values
        return values if values.kind == "logits" else None  # or over the classes' axis

    def _read_picking(self, node: NodeProto, name: str) -> Values | None:
        """Read the picking of some classes, or of all of them in another order."""
        values = self.read(node.input[0])
        if values is None or values.kind != "distribution":
            return values
        # All classes may be picked more than once: their sum is not known.
        return replace(values, kind="unit")

    def read_addition(self, node: NodeProto) -> Values | None:
        """Read a sum: of two kinds of probabilities, or of scores and constants."""
        constants = [self.get_constant(name) for name in node.input]
        values = [
            self.read(name)
            for name, constant in zip(node.input, constants, strict=True)
            if constant is None
        ]
        if not values or any(value is None for value in values):
            return None
        kinds = {value.kind for value in values if value is not None}
        given = [constant for constant in constants if constant is not None]
        if kinds == {"logits"}:
            return Values("logits")
        known = kinds <= {"distribution", "labels", "unit"}
        if not known or any(abs(c).max() > TINY for c in given):
            return None
        total = sum(value.total for value in values if value is not None)
        return Values(kinds.pop() if len(kinds) == 1 else "unit", total)

    def read_mean(self, node: NodeProto) -> Values | None:
        """Read a mean of several tensors."""
        values = self.read_addition(node)
        return values and replace(values, total=values.total / len(node.input))

    def read_subtraction(self, node: NodeProto) -> Values | None:
        """Read ``1 - p``, or scores less a constant."""
        left, right = (self.get_constant(name) for name in node.input)
        if left is not None and _is_all(left, 1.0):
            values = self.read(node.input[1])
            if values is None or not values.are_probabilities:
                return values
            kind = "labels" if values.kind == "labels" else "unit"
            return Values(kind) if abs(values.total - 1) < TINY else None
        values = self.read(node.input[0]) if right is not None else None
        return values if values and values.kind == "logits" else None

    def read_product(self, node: NodeProto) -> Values | None:
        """Read scores times a constant, or ``exp(z) * (1 / sum(exp(z)))``."""
        for name, other in (node.input, reversed(node.input)):
            factor = self.get_constant(other)
            if factor is not None:
                return self._scale(self.read(name), factor)
            inverse = self.producers.get(other)
            if inverse is not None and inverse.op_type == "Reciprocal":
                return self._read_quotient(name, inverse.input[0])
        return None

    def read_division(self, node: NodeProto) -> Values | None:
        """Read scores over a constant, ``exp(z) / sum(exp(z))`` or ``1 / (1 + exp(-z))``."""
        dividend, divisor = (self.get_constant(name) for name in node.input)
        if dividend is not None and _is_all(dividend, 1.0):
            return self._read_inverse(node.input[1])
        if divisor is not None:
            if (divisor == 0).any():
                return None
            return self._scale(self.read(node.input[0]), 1 / divisor.astype(np.float64))
        return self._read_quotient(*node.input)

    def read_reciprocal(self, node: NodeProto) -> Values | None:
        """Read ``1 / (1 + exp(-z))``."""
        return self._read_inverse(node.input[0])

    def read_exp(self, node: NodeProto) -> Values | None:
        """Read the exponential of logarithms of probabilities."""
        inner = self._skip_passing(node.input[0])
        if inner is not None and inner.op_type == "LogSoftmax":
            return self._read_softmax(inner)
        return None

    def read_logarithm(self, node: NodeProto) -> Values | None:
        """Read the logarithm of probabilities, whose softmax are the probabilities.

        Those of sigmoids are turned back neither by a softmax nor by a sigmoid.
        """
        values = self.read(node.input[0])
        kinds = {"distribution": "logits", "labels": "logarithms of labels"}
        return Values(kinds[values.kind]) if values and values.kind in kinds else None

    def read_negation(self, node: NodeProto) -> Values | None:
        """Read ``-softplus(-z)``, which is the logarithm of a sigmoid, or other negated scores."""
        inner = self._skip_passing(node.input[0])
        if inner is not None and inner.op_type == "Softplus":
            return Values("logarithms of labels")
        values = self.read(node.input[0])
        return values if values and values.kind == "logits" else None

    def read_rounding(self, node: NodeProto) -> Values | None:
        """Read probabilities that are rounded to parts of a hundred or less."""
        values = self.read(node.input[0])
        if values is None or not values.are_probabilities:
            return None
        return values if MOST_ROUNDED * values.total >= 1 else None

    def read_log_softmax(self, node: NodeProto) -> Values | None:
        """Read logarithms of probabilities, whose softmax are the probabilities."""
        values = self._read_softmax(node)
        return Values("logits") if values and values.kind == "distribution" else values

    def read_clipping(self, node: NodeProto) -> Values | None:
        """Read values that are kept within bounds, which probabilities hardly reach."""
        values = self.read(node.input[0])
        if values is None or not values.are_probabilities:
            return None
        attributes = _read_attributes(node)
        bounds = [attributes.get("min"), attributes.get("max")]
        for place in (1, 2):
            if place < len(node.input) and node.input[place]:
                bounds[place - 1] = self.get_constant(node.input[place])
                if bounds[place - 1] is None:
                    return None
        low, high = bounds
        fits = (low is None or np.max(low) <= TINY) and (
            high is None or np.min(high) >= values.total * (1 - TINY)
        )
        return values if fits else None

    def read_maximum(self, node: NodeProto) -> Values | None:
        """Read probabilities that are kept from 0, or the larger of two."""
        constants = [self.get_constant(name) for name in node.input]
        rest = [n for n, c in zip(node.input, constants, strict=True) if c is None]
        if any(c is not None and abs(c).max() > TINY for c in constants) or len(rest) != 1:
            return None
        values = self.read(rest[0])
        return values if values and values.are_probabilities else None

    def read_concatenation(self, node: NodeProto) -> Values | None:
        """Read probabilities of several heads beside each other, such as 1 - p and p."""
        values = [self.read(name) for name in node.input]
        kinds = {value.kind for value in values if value is not None}
        if None in values:
            return None
        if kinds == {"logits"}:
            return Values("logits")
        totals = {value.total for value in values if value is not None}
        if not kinds <= {"labels", "unit"} or len(totals) > 1:
            return None
        if self._are_complements(node.input):
            return Values("distribution")
        return Values(kinds.pop() if len(kinds) == 1 else "unit", totals.pop())

    def _are_complements(self, names: Sequence[str]) -> bool:
        """Return whether two tensors of one number per image are p and 1 - p."""
        if len(names) != 2 or any(self.shapes.count(name) != 1 for name in names):
            return False
        sources = [self._trace_passing(name) for name in names]
        for name, other in (sources, reversed(sources)):
            node = self.producers.get(name)
            if node is None or node.op_type != "Sub":
                continue
            constant = self.get_constant(node.input[0])
            is_less = constant is not None and _is_all(constant, 1.0)
            if is_less and self._trace_passing(node.input[1]) == other:
                return True
        return False

    def read_choice(self, node: NodeProto) -> Values | None:
        """Read probabilities of which some, such as the smallest, become 0."""
        for name, other in (node.input[1:], reversed(node.input[1:])):
            constant = self.get_constant(other)
            if constant is not None and abs(constant).max() <= TINY:
                values = self.read(name)
                if values is None or not values.are_probabilities:
                    return None
                return values if values.kind == "labels" else replace(values, kind="unit")
        return None

    def read_linear_classifier(self, node: NodeProto) -> Values | None:
        """Read the scores of ``ai.onnx.ml``'s linear classifier."""
        transform = _read_attributes(node).get("post_transform", b"NONE")
        kinds = {b"NONE": "logits", b"SOFTMAX": "distribution", b"LOGISTIC": "labels"}
        return Values(kinds[transform]) if transform in kinds else None

    def read_normaliser(self, node: NodeProto) -> Values | None:
        """Read probabilities that are divided by their sum."""
        values = self.read(node.input[0])
        by_sum = _read_attributes(node).get("norm", b"MAX") == b"L1"
        return Values("distribution") if by_sum and values and values.are_probabilities else None

    def read_lp_normalisation(self, node: NodeProto) -> Values | None:
        """Read numbers that are not negative over their sum, which may be 0."""
        attributes, inner = _read_attributes(node), self._skip_passing(node.input[0])
        dims, axis = self.shapes.dims(node.input[0]) or (), attributes.get("axis", -1)
        over_classes = -len(dims) <= axis < len(dims) and dims[axis] == self.classes
        if attributes.get("p", 2) != 1 or not over_classes or inner is None:
            return None
        return Values("unit") if inner.op_type in NOT_NEGATIVE else None

    def read_top(self, node: NodeProto) -> Values | None:
        """Read the values of a TopK over the classes."""
        dims = self.shapes.dims(node.output[0]) or ()
        axis = _read_attributes(node).get("axis", -1)
        over_classes = -len(dims) <= axis < len(dims) and dims[axis] == self.classes
        return Values("top values") if over_classes and self.classes != 1 else None

    def get_constant(self, name: str) -> NDArray[Any] | None:
        """Return a stored tensor of floats; None if it is none, or lies in another file."""
        tensor = self.stored.get(name)
        node = self.producers.get(name)
        if tensor is None and node is not None and node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            if isinstance(value, float):
                return np.array(value)
            tensor = value if isinstance(value, TensorProto) else None
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
            return self.shapes.values.get(name)
        array: NDArray[Any] = numpy_helper.to_array(tensor)
        return array if array.size and array.dtype.kind in "iuf" else None

    def _scale(self, values: Values | None, factor: NDArray[Any]) -> Values | None:
        if values is None or values.kind == "logits":
            return values
        if not values.are_probabilities or factor.size != 1 or factor.item() <= 0:
            return None
        return replace(values, total=values.total * float(factor.item()))

    def _read_quotient(self, dividend: str, divisor: str) -> Values | None:
        """Read exponentials over their sum."""
        top = self._skip_passing(dividend)
        bottom = self._skip_passing(divisor)
        while bottom is not None and bottom.op_type in ("Add", "Max", "Clip"):  # of an eps
            bottom = self._skip_passing(bottom.input[0])
        if top is None or bottom is None or top.op_type != "Exp":
            return None
        summed = bottom.op_type in ("ReduceSum", "ReduceL1")
        same = summed and self._skip_passing(bottom.input[0]) is top
        if not same or self.shapes.count(bottom.output[0]) != 1:  # at batch 1: over the classes
            return None
        return Values("distribution")

    def _read_inverse(self, name: str) -> Values | None:
        """Read ``1 / (1 + exp(-z))`` from its divisor."""
        addition = self._skip_passing(name)
        if addition is None or addition.op_type != "Add":
            return None
        for left, right in (addition.input, reversed(addition.input)):
            constant, exp = self.get_constant(left), self._skip_passing(right)
            if constant is not None and _is_all(constant, 1.0) and exp and exp.op_type == "Exp":
                return Values("labels")
        return None

    def _skip_passing(self, name: str) -> NodeProto | None:
        """Return the first node before a tensor that does more than pass its values on."""
        return self.producers.get(self._trace_passing(name))

    def _trace_passing(self, name: str) -> str:
        """Return the tensor whose values a tensor has, up to its form."""
        while (node := self.producers.get(name)) is not None and node.op_type in PASSING:
            name = node.input[0]
        return name


READERS: Mapping[str, Callable[[_Tail, NodeProto], Values | None]] = {
    "Add": _Tail.read_addition,
    "Sum": _Tail.read_addition,
    "Mean": _Tail.read_mean,
    "Sub": _Tail.read_subtraction,
    "Mul": _Tail.read_product,
    "Div": _Tail.read_division,
    "Reciprocal": _Tail.read_reciprocal,
    "Exp": _Tail.read_exp,
    "LpNormalization": _Tail.read_lp_normalisation,
    "Log": _Tail.read_logarithm,
    "Neg": _Tail.read_negation,
    "Ceil": _Tail.read_rounding,
    "Floor": _Tail.read_rounding,
    "Round": _Tail.read_rounding,
    "LogSoftmax": _Tail.read_log_softmax,
    "Clip": _Tail.read_clipping,
    "Max": _Tail.read_maximum,
    "Concat": _Tail.read_concatenation,
    "Where": _Tail.read_choice,
    "LinearClassifier": _Tail.read_linear_classifier,
    "Normalizer": _Tail.read_normaliser,
    "TopK": _Tail.read_top,
}


def _is_all(array: NDArray[Any], value: float) -> bool:
    return bool((array == value).all())


def _read_attributes(node: NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
