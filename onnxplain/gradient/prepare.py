"""Conversion of models to a form that can be differentiated.

The form has no functions and no fused attention, is of opset 17 or later, and computes in float32
or wider.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, inliner, numpy_helper, version_converter

from onnxplain.gradient.facts import Array, Feeds, Measure, read_stored_tensors
from onnxplain.gradient.fused import expand_attention
from onnxplain.gradient.refusal import GradientError
from onnxplain.graph.shapes import list_fed_inputs
from onnxplain.graph.writer import GraphWriter

OLDEST, USUAL = 17, 18
USUAL_IR = 8  # of opset 18; before IR version 4, weights had to be inputs
HALVES = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
TYPES = ("to", "dtype")  # attributes that name a type
# Weights of fewer elements than this are not worth a node to store them in 16 bits.
WORTH = 256
FIRST_RESIZE = 11  # the opset from which on a Resize says where its places lie
AGREE = 1e-3  # of the largest score; what rounding alone changes
AGREE_IN_HALVES = 0.02


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without functions and Attention, of opset 17 or later, in float32 or wider.

    Raises
    ------
    GradientError
        If the model is of an older opset and cannot be converted.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(expand_attention(model))
    if copy.functions:
        copy = inliner.inline_local_functions(copy)
    copy.ir_version = max(copy.ir_version, USUAL_IR)
    version = read_opset(copy)
    if version < OLDEST:
        try:
            copy = version_converter.convert_version(copy, USUAL)
        except Exception as error:  # the converter raises whatever its C++ code does
            raise GradientError(
                f"the model is of opset {version} and cannot be converted to {USUAL}: {error}; "
                f"export it with opset {OLDEST} or later"
            ) from error
        if version < FIRST_RESIZE:
            _keep_old_places(copy.graph)
    del copy.graph.value_info[:]
    _make_weights_constant(copy.graph)
    if has_halves(copy):
        widen(copy)
    return copy


def _keep_old_places(graph: onnx.GraphProto) -> None:
    """Say where the places of each Resize lie, as the runtime has them in opsets before 11.

    The converter leaves it to the defaults of opset 11, which are others. Scales that enlarge
    along one axis and reduce along another have no such form; then scores differ, which
    `check_conversion` sees.
    """
    _, small = read_stored_tensors(graph)
    for node in graph.node:
        if node.op_type == "Resize":
            scales = small.get(node.input[2])
            reduces = scales is not None and bool((scales < 1).any())
            nearest = "ceil" if reduces else "floor"
            places = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": nearest}
            node.attribute.extend(helper.make_attribute(*place) for place in places.items())


def check_conversion(
    model: onnx.ModelProto, prepared: onnx.ModelProto, measure: Measure, feeds: Feeds, output: str
) -> None:
    """Compare the scores of a model with those of what `prepare` made of it.

    The converter is wrong for some operators of old opsets, and leaves subgraphs as they are.

    Raises
    ------
    GradientError
        If they differ by more than rounding.
    """

    def run(tried: onnx.ModelProto) -> Array:
        types = {value.name: value.type.tensor_type.elem_type for value in tried.graph.input}
        cast = {
            name: values.astype(helper.tensor_dtype_to_np_dtype(types[name]))
            for name, values in feeds.items()
        }
        return measure.run(tried.SerializeToString(), cast)[output].astype(np.float64)

    scores, converted = run(model), run(prepared)
    largest = float(np.abs(scores).max()) or 1.0
    limit = largest * (AGREE_IN_HALVES if has_halves(model) else AGREE)
    if not np.isfinite(largest) or np.abs(converted - scores).max() <= limit:
        return
    if np.abs(run(model) - scores).max() > limit:  # random, which is said elsewhere
        return
    difference = float(np.abs(converted - scores).max()) / largest
    raise GradientError(
        f"the model is of opset {read_opset(model)}, and converted to {USUAL} its scores differ by "
        f"{difference:.1e} of the largest; export it with opset {OLDEST} or later"
    )


def _make_weights_constant(graph: onnx.GraphProto) -> None:
    """Remove the weights from the inputs, because only constants are folded."""
    inputs = list_fed_inputs(graph)
    del graph.input[:]
    graph.input.extend(inputs)


def read_opset(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators that a model uses."""
    return max(
        int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")
    )


def has_halves(model: onnx.ModelProto) -> bool:
    """Return whether a model stores or computes numbers of 16 bits."""
    graph = model.graph
    values = [*graph.input, *graph.output]
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    return (
        any(tensor.data_type in HALVES for tensor in graph.initializer)
        or any(value.type.tensor_type.elem_type in HALVES for value in values)
        or any(entry.name in TYPES and entry.i in HALVES for entry in attributes)
    )


def widen(model: onnx.ModelProto) -> None:
    """Make a model of 16-bit numbers compute in float32, including its input and output."""
    graph = model.graph
    for stored in graph.initializer:
        if stored.data_type in HALVES:
            stored.CopyFrom(_widen_tensor(stored))
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in HALVES:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.t.data_type in HALVES:
                attribute.t.CopyFrom(_widen_tensor(attribute.t))
            if attribute.name in TYPES and attribute.i in HALVES:
                attribute.i = TensorProto.FLOAT


def _widen_tensor(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)


def store_as_halves(model: onnx.ModelProto) -> None:
    """Store weights in 16 bits where that loses nothing; the runtime widens them on loading."""
    writer = GraphWriter(model.graph, at=0)
    for stored in model.graph.initializer:
        if stored.data_type != TensorProto.FLOAT or np.prod(stored.dims) < WORTH:
            continue
        wide = numpy_helper.to_array(stored)
        half = wide.astype(np.float16)
        if np.array_equal(half, wide):
            name = stored.name
            half_name = writer.find_name(f"{name} in 16 bits")
            stored.CopyFrom(numpy_helper.from_array(half, half_name))
            writer.op("Cast", half_name, out=name, to=TensorProto.FLOAT)
