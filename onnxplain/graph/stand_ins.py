"""Shapes of the operators that ONNX Runtime's optimiser and quantiser write, by standard ones."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import NodeProto, TensorProto, TypeProto, helper

from onnxplain.graph.nodes import read_int, read_ints

# The standard operator of equal shape, and which of their inputs it takes (None: all).
STAND_INS: dict[str, tuple[str, slice | None]] = {
    "Attention": ("MatMul", slice(2)),
    "BiasAdd": ("Add", slice(2)),
    "BiasGelu": ("Add", None),
    "BiasSoftmax": ("Relu", slice(1)),
    "DequantizeLinear": ("DequantizeLinear", None),
    "DynamicQuantizeMatMul": ("MatMul", slice(2)),
    "FastGelu": ("Relu", slice(1)),
    "FusedConv": ("Conv", slice(3)),
    "FusedGemm": ("Gemm", None),
    "FusedMatMul": ("MatMul", None),
    "Gelu": ("Relu", None),
    "GroupNorm": ("Relu", slice(1)),
    "MatMulIntegerToFloat": ("MatMul", slice(2)),
    "MultiHeadAttention": ("Relu", slice(1)),
    "NhwcConv": ("Conv", slice(3)),
    "NhwcFusedConv": ("Conv", slice(3)),
    "NhwcMaxPool": ("MaxPool", slice(1)),
    "QGemm": ("Gemm", slice(0, 6, 3)),
    "QLinearAdd": ("Add", slice(0, 6, 3)),
    "QLinearAveragePool": ("AveragePool", slice(1)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
    "QLinearConv": ("Conv", slice(0, 6, 3)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", slice(1)),
    "QLinearLeakyRelu": ("Relu", slice(1)),
    "QLinearMul": ("Mul", slice(0, 6, 3)),
    "QLinearSigmoid": ("Relu", slice(1)),
    "QLinearSoftmax": ("Relu", slice(1)),
    "QuantizeLinear": ("QuantizeLinear", None),
    "QuickGelu": ("Relu", None),
    "SkipLayerNormalization": ("Add", slice(2)),
    "SkipSimplifiedLayerNormalization": ("Add", slice(2)),
}
NCHWC = {  # of blocked channels: the inputs that count; more are added to the result
    "Conv": ("Conv", slice(3)),
    "MaxPool": ("MaxPool", slice(1)),
    "AveragePool": ("AveragePool", slice(1)),
    "GlobalMaxPool": ("GlobalMaxPool", slice(1)),
    "GlobalAveragePool": ("GlobalAveragePool", slice(1)),
    "ReorderInput": ("Relu", slice(1)),
    "ReorderOutput": ("Relu", slice(1)),
}
LAST_TO_FIRST, FIRST_TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def find_stand_in(node: NodeProto) -> NodeProto | None:
    """Return a standard operator, without attributes, whose shape is that of a node; or None."""
    table = NCHWC if node.domain == "com.microsoft.nchwc" else STAND_INS
    if node.op_type not in table:
        return None
    op, chosen = table[node.op_type]
    inputs = list(node.input)
    return helper.make_node(op, inputs if chosen is None else inputs[chosen], node.output[:1])


def adapt_inputs(
    node: NodeProto, standard: NodeProto, types: Mapping[str, TypeProto]
) -> dict[str, TypeProto]:
    """Return the types that the standard operator takes for the inputs of a node.

    Inputs that it takes in another form get another name in `standard`.
    """
    adapted = {name: types[name] for name in standard.input if name}
    if _is_quantised(node):  # the standard one takes real numbers alone
        adapted = {name: _set_type(given, TensorProto.FLOAT) for name, given in adapted.items()}
    first = standard.input[0]
    if _has_channels_last(node):
        adapted[first] = _permute(adapted[first], LAST_TO_FIRST)
    if node.op_type == "ReorderInput" and read_int(node, "channels_last"):
        adapted[first] = _permute(adapted[first], LAST_TO_FIRST)
    if standard.op_type == "MatMul":
        for place, flag in enumerate(("transA", "transB")):
            if read_int(node, flag):
                given = adapted[standard.input[place]]
                rank = len(given.tensor_type.shape.dim)
                order = [*range(rank - 2), rank - 1, rank - 2] if rank > 1 else range(rank)
                standard.input[place] += " turned"  # the other one may be the same tensor
                adapted[standard.input[place]] = _permute(given, order)
    if node.domain == "com.microsoft.nchwc" and node.op_type == "Conv":
        # Channels are padded to whole blocks, in the weights if not in the image.
        weights = adapted[standard.input[1]].tensor_type.shape.dim
        channels = weights[1].dim_value * (read_int(node, "group") or 1) if len(weights) > 1 else 0
        adapted[first] = _set_side(adapted[first], 1, channels)
    return adapted


def adapt_outputs(
    node: NodeProto, types: Mapping[str, TypeProto], element_type: int
) -> dict[str, TypeProto]:
    """Return the types of a node's outputs for those of the standard operator.

    `element_type` is that of the first input which the standard one takes.
    """
    adapted = dict(types)
    name = node.output[0]
    if name not in adapted:
        return adapted
    if _is_quantised(node) and not node.op_type.endswith(("ToFloat", "QuantizeMatMul")):
        adapted[name] = _set_type(adapted[name], element_type)
    if node.op_type == "ReorderOutput":
        adapted[name] = _set_side(adapted[name], 1, read_int(node, "channels"))
        if read_int(node, "channels_last"):
            adapted[name] = _permute(adapted[name], FIRST_TO_LAST)
    elif _has_channels_last(node):
        adapted[name] = _permute(adapted[name], FIRST_TO_LAST)
    elif node.op_type == "Attention":  # the weights of queries, keys and values lie side by side
        dims = adapted[name].tensor_type.shape.dim
        third = dims[-1].dim_value // 3 if dims else 0
        width = (read_ints(node, "qkv_hidden_sizes") or [third])[-1]
        adapted[name] = _set_side(adapted[name], len(dims) - 1, width)
    elif node.op_type.startswith("Skip") and len(node.output) > 3:
        adapted[node.output[3]] = adapted[name]
    return adapted


def _is_quantised(node: NodeProto) -> bool:
    return node.op_type.startswith(("QLinear", "QGemm", "Nhwc", "MatMulInteger", "DynamicQ"))


def _set_type(given: TypeProto, element_type: int) -> TypeProto:
    changed = TypeProto()
    changed.CopyFrom(given)
    changed.tensor_type.elem_type = element_type
    return changed


def _has_channels_last(node: NodeProto) -> bool:
    return node.op_type.startswith("Nhwc") or (
        node.op_type.startswith("QLinear") and bool(read_int(node, "channels_last"))
    )


def _permute(given: TypeProto, order: tuple[int, ...] | list[int] | range) -> TypeProto:
    dims = list(given.tensor_type.shape.dim)
    permuted = TypeProto()
    permuted.CopyFrom(given)
    if len(dims) == len(order):
        del permuted.tensor_type.shape.dim[:]
        permuted.tensor_type.shape.dim.extend(dims[axis] for axis in order)
    return permuted


def _set_side(given: TypeProto, axis: int, size: int) -> TypeProto:
    changed = TypeProto()
    changed.CopyFrom(given)
    if size and 0 <= axis < len(changed.tensor_type.shape.dim):
        changed.tensor_type.shape.dim[axis].dim_value = size
    return changed
