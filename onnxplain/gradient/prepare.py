"""Bringing any model to what is differentiated: no functions, opset 17 or later, float32."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, inliner, numpy_helper, version_converter

from onnxplain.gradient.refusal import GradientError
from onnxplain.graph.names import collect_tensor_names, find_unused_name

OLDEST, USUAL = 17, 18
USUAL_IR = 8  # that of opset 18; before 4, weights had to be inputs
HALVES = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
TYPES = ("to", "dtype")  # attributes that name a type
# Halves smaller than this are not worth a node each.
WORTH = 256


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with functions inlined, of opset 17 or later, computing in float32 or wider.

    Raises
    ------
    GradientError
        If the model is of an older opset and cannot be converted.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if copy.functions:
        copy = inliner.inline_local_functions(copy)
    copy.ir_version = max(copy.ir_version, USUAL_IR)
    version = opset(copy)
    if version < OLDEST:
        try:
            copy = version_converter.convert_version(copy, USUAL)
        except Exception as error:  # the converter raises whatever its C++ code does
            raise GradientError(
                f"the model is of opset {version} and cannot be brought to {USUAL}: {error}; "
                f"export it with opset {OLDEST} or later"
            ) from error
    del copy.graph.value_info[:]
    _fix_weights(copy.graph)
    if has_halves(copy):
        widen(copy)
    return copy


def _fix_weights(graph: onnx.GraphProto) -> None:
    """Make constants of the weights that a caller could replace; only those are folded."""
    stored = {one.name for one in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    del graph.input[:]
    graph.input.extend(inputs)


def opset(model: onnx.ModelProto) -> int:
    """Version of the standard operators that a model is written in."""
    return max(int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx"))


def has_halves(model: onnx.ModelProto) -> bool:
    """Whether a model stores or computes numbers of 16 bits."""
    graph = model.graph
    values = [*graph.input, *graph.output]
    attributes = [one for node in graph.node for one in node.attribute]
    return (
        any(one.data_type in HALVES for one in graph.initializer)
        or any(value.type.tensor_type.elem_type in HALVES for value in values)
        or any(one.name in TYPES and one.i in HALVES for one in attributes)
    )


def widen(model: onnx.ModelProto) -> None:
    """Make a model of 16-bit numbers compute in float32; its input and output follow."""
    graph = model.graph
    for stored in graph.initializer:
        if stored.data_type in HALVES:
            stored.CopyFrom(_wide(stored))
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in HALVES:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for one in node.attribute:
            if one.t.data_type in HALVES:
                one.t.CopyFrom(_wide(one.t))
            if one.name in TYPES and one.i in HALVES:
                one.i = TensorProto.FLOAT


def _wide(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)


def store_as_halves(model: onnx.ModelProto) -> None:
    """Store what 16 bits hold exactly in 16 bits; the runtime widens it when it loads."""
    graph = model.graph
    casts, taken = [], collect_tensor_names(model.graph)
    for stored in graph.initializer:
        if stored.data_type != TensorProto.FLOAT or np.prod(stored.dims) < WORTH:
            continue
        wide = numpy_helper.to_array(stored)
        half = wide.astype(np.float16)
        if np.array_equal(half, wide):
            name = stored.name
            stored.CopyFrom(
                numpy_helper.from_array(half, find_unused_name(f"{name} in 16 bits", taken))
            )
            casts.append(helper.make_node("Cast", [stored.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
