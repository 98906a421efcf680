"""How large tensors can become whose shape depends on pixels, and how much work a node can do.

Shapes that are known stand in `onnxplain.graph.shapes`. For the others, the largest possible
shape, or at least the largest number of elements, is worked out here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import zip_longest

from onnx import NodeProto, TensorProto, TypeProto, helper

from onnxplain.graph.nodes import read_int, read_ints
from onnxplain.graph.shapes import (
    STANDARD_DOMAINS,
    Dims,
    ShapeMismatch,
    Shapes,
    count_elements,
    read_type_dims,
)

# Operators whose output can be far larger than their input: its size must be known.
GROWING = {
    *("AffineGrid", "BlackmanWindow", "CenterCropPad", "Col2Im", "ConstantOfShape"),
    *("ConvTransposeWithDynamicPads", "CropAndResize", "Expand", "ExpandDims", "EyeLike"),
    *("HammingWindow", "HannWindow", "MaxUnpool", "MelWeightMatrix", "OneHot", "Pad"),
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Range"),
    *("Resize", "STFT", "Tile", "Upsample"),
}
# Operators with as many elements as one of their inputs, or fewer.
KEEPING = {
    *("Abs", "Acos", "Acosh", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "AveragePool"),
    *("BatchNormalization", "Bernoulli", "BitwiseNot", "Cast", "CastLike", "Ceil", "Celu", "Clip"),
    *("Compress", "Cos", "Cosh", "CumSum", "DepthToSpace", "DequantizeLinear", "Det", "Dropout"),
    *("DynamicQuantizeLinear", "Elu", "Erf", "Exp", "Flatten", "Floor", "GatherElements", "Gelu"),
    *("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "GroupNormalization", "HardSigmoid"),
    *("HardSwish", "Hardmax", "Identity", "InstanceNormalization", "IsInf", "IsNaN"),
    *("LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "LpNormalization", "LpPool", "LRN"),
    *("MaxPool", "MeanVarianceNormalization", "Mish", "Neg", "Not", "PRelu", "QuantizeLinear"),
    *("Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"),
    *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape"),
    *("ReverseSequence", "Round", "ScatterElements", "ScatterND", "Selu", "Shape", "Shrink"),
    *("Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice", "Softmax", "Softplus", "Softsign"),
    *("SpaceToDepth", "Split", "Sqrt", "Squeeze", "Swish", "Tan", "Tanh", "ThresholdedRelu"),
    *("TopK", "Transpose", "Trilu", "Unique", "Unsqueeze"),
    *("SequenceAt", "SplitToSequence", "SequenceErase", "SequenceLength", "Optional"),
    *("OptionalGetElement", "OptionalHasElement"),
}
BROADCASTING = {
    *("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal"),
    *("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul"),
    *("Or", "Pow", "Sub", "Sum", "Where", "Xor"),
}
MULTIPLYING = {"Gather", "GatherND", "MatMul", "MatMulInteger", "QLinearMatMul", "Gemm", "Einsum"}
CONVOLVING = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}  # where their weights are
JOINING = {"Concat", "ConcatFromSequence", "SequenceConstruct", "SequenceInsert"}


class Bounds:
    """The largest shapes and sizes of tensors whose shape is not known; `step` adds a node's.

    Parameters
    ----------
    types : mapping of TypeProto
        The largest type of tensors whose number of dimensions is known.
    most : mapping of int
        The most elements of the other ones.
    """

    def __init__(
        self, types: Mapping[str, TypeProto] | None = None, most: Mapping[str, int] | None = None
    ) -> None:
        self.types = dict(types or {})
        self.most = dict(most or {})

    def dims(self, name: str, shapes: Shapes) -> Dims | None:
        """Return the largest dimensions of a tensor; None if their number is not known."""
        exact = shapes.dims(name)
        if exact is not None and None not in exact:
            return exact
        return read_type_dims(self.types[name]) if name in self.types else None

    def count(self, name: str, shapes: Shapes) -> int | None:
        """Return the most elements that a tensor can have, or None if nothing bounds them."""
        exact = count_elements(self.dims(name, shapes))
        return self.most.get(name) if exact is None else exact

    def bytes(self, name: str, shapes: Shapes) -> int:
        """Return the most bytes of a tensor, 0 if nothing bounds them."""
        known = shapes.bytes(name)
        return 8 * (self.count(name, shapes) or 0) if known is None else known

    def step(self, node: NodeProto, shapes: Shapes) -> None:
        """Bound the outputs of a node whose shapes `shapes`, a step ahead, does not know."""
        unknown = [name for name in node.output if name and shapes.count(name) is None]
        if not unknown:
            return
        largest = self._find_largest_dims(node, shapes)
        for name in unknown:
            if name in largest:
                self.types[name] = largest[name]
            else:
                most = self._count_most(node, shapes)
                if most is not None:
                    self.most[name] = most

    def _find_largest_dims(self, node: NodeProto, shapes: Shapes) -> dict[str, TypeProto]:
        """Return types of outputs whose largest dimensions follow from those of the inputs."""
        dims = [self.dims(name, shapes) for name in node.input]
        if node.op_type in GROWING or node.domain not in (
            *STANDARD_DOMAINS,
            "com.microsoft",
            "com.microsoft.nchwc",
        ):
            return {}
        sides = [None if one is None else [side or 0 for side in one] for one in dims]
        special = _find_data_dependent_dims(node, sides)
        if special is None:
            types = {name: self._find_type(name, shapes) for name in node.input}
            known = {name: given for name, given in types.items() if given is not None}
            try:
                inferred = shapes.infer_types(node, known)
            except ShapeMismatch:
                inferred = {}
            complete = {
                name: given
                for name, given in inferred.items()
                if count_elements(read_type_dims(given)) is not None
            }
            if complete or node.op_type not in BROADCASTING or None in sides:
                return complete
            special = [_broadcast([one for one in sides if one is not None])]
        return {
            name: helper.make_tensor_type_proto(_find_element_type(name, shapes), one)
            for name, one in zip(node.output, special, strict=False)
            if name
        }

    def _find_type(self, name: str, shapes: Shapes) -> TypeProto | None:
        if shapes.count(name) is None and name in self.types:
            return self.types[name]
        return shapes.types.get(name)

    def _count_most(self, node: NodeProto, shapes: Shapes) -> int | None:
        """Return the most elements of an output, or None if nothing bounds them."""
        op, names = node.op_type, [name for name in node.input if name]
        counts = [self.count(name, shapes) for name in names]
        known = [count for count in counts if count is not None]
        if op in GROWING or len(known) < len(counts):
            return None
        if node.domain == "ai.onnx.ml":  # numbers for each class or tree
            longest = max((len(a.floats) + len(a.ints) for a in node.attribute), default=0)
            return sum(known) * max(longest, 1)
        if node.domain not in ("", "ai.onnx"):  # nothing says so, but the others do not grow
            return max(known, default=None)
        if op in KEEPING:
            return max(known, default=None)
        if op in JOINING:
            return sum(known)
        if op in MULTIPLYING or op in BROADCASTING:
            return self._count_product(node, known, shapes)
        if op in CONVOLVING:
            return self._count_convolved(node, known[0], shapes)
        exact = all(shapes.count(name) is not None for name in names)
        return sum(known) if exact else None  # what does not fit does not run

    def _count_convolved(self, node: NodeProto, count: int, shapes: Shapes) -> int | None:
        """Return the most elements of a convolution, whose stored weights are known."""
        dims = self.dims(node.input[CONVOLVING[node.op_type]], shapes)
        if dims is None or None in dims or len(dims) < 3:
            return None
        sides = [side or 1 for side in dims]
        pads = read_ints(node, "pads")
        rank = len(sides) - 2
        grown = _multiply(1 + max(sum(pads[axis::rank]), 0) for axis in range(rank))
        return math.ceil(count / sides[1]) * sides[0] * grown

    def _count_product(self, node: NodeProto, counts: list[int], shapes: Shapes) -> int:
        """Return the most elements of a product of matrices or of broadcasting."""
        if node.op_type in ("MatMul", "Gemm"):
            dims = self.dims(node.input[1], shapes)
            if dims is not None and len(dims) == 2 and not read_int(node, "transA"):
                inner, outer = reversed(dims) if read_int(node, "transB") else dims
                return math.ceil(counts[0] / max(inner or 1, 1)) * (outer or 1)
        return math.prod(max(count, 1) for count in counts)


def _find_element_type(name: str, shapes: Shapes) -> int:
    known = shapes.types[name].tensor_type.elem_type if name in shapes.types else 0
    return int(known or TensorProto.INT64)


def _find_data_dependent_dims(
    node: NodeProto, sides: list[list[int] | None]
) -> list[list[int]] | None:
    """Return the largest dimensions of the outputs of operators that select by value."""
    if node.domain not in ("", "ai.onnx") or not sides or sides[0] is None:
        return None
    first, count = sides[0], math.prod(sides[0])
    is_flattened = all(entry.name != "axis" for entry in node.attribute)
    if node.op_type == "NonZero":
        return [[len(first), count]]
    if node.op_type == "Compress":
        return [[count] if is_flattened else first]
    if node.op_type == "Unique":
        longest = [count]
        return [longest if is_flattened else first, longest, longest, longest]
    if node.op_type == "NonMaxSuppression" and len(sides) > 1 and sides[1] is not None:
        return [[math.prod(sides[1]), 3]]
    return None


def _broadcast(sides: list[list[int]]) -> list[int]:
    """Return the largest dimensions of a result of broadcasting, whatever fits what."""
    columns = zip_longest(*(reversed(one) for one in sides), fillvalue=1)
    return [max(column) for column in columns][::-1]


def count_work(node: NodeProto, shapes: Shapes, bounds: Bounds) -> int:
    """Return about how many numbers a node multiplies, adds or looks at.

    The most that it could be: as if its inputs were as large as they can be.
    """
    known = {name: bounds.dims(name, shapes) for name in (*node.input, *node.output) if name}
    counts = {
        name: bounds.most.get(name, 0) if one is None else count_elements(one) or 0
        for name, one in known.items()
    }
    made = sum(counts[name] for name in node.output if name)
    moved = made + sum(counts[name] for name in node.input if name)
    dims = [[side or 1 for side in known.get(name) or ()] for name in node.input]
    return moved + made * _count_terms(node, dims) if dims else moved


def _count_terms(node: NodeProto, dims: list[list[int]]) -> int:
    """Return how many terms each number of the output is the sum of."""
    op = node.op_type
    if "MatMul" in op:
        return dims[0][-1] if dims[0] else 1
    if op in ("Gemm", "FusedGemm", "QGemm"):
        return dims[0][0 if read_int(node, "transA") else -1] if dims[0] else 1
    if "Pool" in op and "Global" not in op:
        return _multiply(read_ints(node, "kernel_shape"))
    if "Conv" in op:
        place = 3 if op == "QLinearConv" else 1
        weights = dims[place] if place < len(dims) else []
        return _multiply(weights[:1] + weights[2:] if "Transpose" in op else weights[1:])
    if op in ("LSTM", "GRU", "RNN"):
        return _multiply(dims[1][1:]) + _multiply(dims[2][1:])
    if op == "Einsum":
        return _count_einsum_terms(node, dims)
    if op in ("DFT", "STFT", "Det", "LpNormalization"):
        return max(dims[0], default=1)
    if op == "NonMaxSuppression":
        return _multiply(dims[0])
    if op == "RoiAlign":
        return max(_multiply([read_int(node, "sampling_ratio")] * 2), _multiply(dims[0][2:]))
    if op == "LRN":
        return max(read_int(node, "size", 1), 1)
    if "Attention" in op:
        return max((max(one, default=1) for one in dims), default=1)
    return 1


def _multiply(sides: Iterable[int]) -> int:
    return math.prod(max(side, 1) for side in sides)


def _count_einsum_terms(node: NodeProto, dims: list[list[int]]) -> int:
    """Return the product of the sides that an Einsum sums over."""
    equation = next((a.s.decode(errors="replace") for a in node.attribute), "")
    inputs, _, output = equation.replace(" ", "").replace("...", "").partition("->")
    sides: dict[str, int] = {}
    for labels, one in zip(inputs.split(","), dims, strict=False):
        for label, side in zip(reversed(labels), reversed(one), strict=False):
            sides[label] = max(side, sides.get(label, 1))
    return _multiply(side for label, side in sides.items() if label not in output)
