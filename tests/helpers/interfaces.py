"""The `additive` network of `tests.helpers.models` behind the interfaces that exporters write."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.helpers import models

SIZE = (8, 8)
W = models.weights(SIZE)


def _store(proto: ModelProto, **tensors: object) -> None:
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()
    )


def unbatched(layout: str, *, scores_too: bool) -> ModelProto:
    """Take an image (C, H, W) or (H, W, C); with `scores_too`, return (K,)."""
    proto = models.additive(W, layout=layout, batch=1)
    _store(proto, first=np.array([0], np.int64))
    models.begin_with([helper.make_node("Unsqueeze", ["image", "first"], ["begun"])], proto)
    dims = [3, *SIZE] if layout == "nchw" else [*SIZE, 3]
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.FLOAT, dims))
    if scores_too:
        squeeze(proto)
    onnx.checker.check_model(proto)
    return proto


def squeeze(proto: ModelProto) -> ModelProto:
    """Let a model of batch 1 return (K,)."""
    graph = proto.graph
    graph.node[-1].output[0] = "row"
    graph.node.append(helper.make_node("Squeeze", ["row"], ["scores"]))
    graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, [len(W)]))
    return proto


def doubled() -> ModelProto:
    """All in float64."""
    proto = models.additive(W)
    graph = proto.graph
    for tensor in graph.initializer:
        wide = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    onnx.checker.check_model(proto)
    return proto


def doubled_scores() -> ModelProto:
    """Scores in float64 of a graph in float32."""
    proto = models.additive(W)
    proto.graph.node[-1].output[0] = "row"
    node = helper.make_node("Cast", ["row"], ["scores"], to=TensorProto.DOUBLE)
    proto.graph.node.append(node)
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return proto


def int8(scale: float, zero: int) -> ModelProto:
    """Take int8 that a DequantizeLinear makes pixels in [0, 1] of; logits, batch 1."""
    proto = models.additive(W, batch=1)
    _store(proto, scale=np.float32(scale), zero=np.int8(zero))
    node = helper.make_node("DequantizeLinear", ["image", "scale", "zero"], ["begun"])
    models.begin_with([node], proto)
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
    onnx.checker.check_model(proto)
    return proto


def uint8_scores() -> ModelProto:
    """Take float32, return quantised probabilities."""
    proto = models.additive(W, head="probabilities")
    proto.graph.node[-1].output[0] = "p"
    _store(proto, scale=np.float32(1 / 256), zero=np.uint8(0))
    proto.graph.node.append(helper.make_node("QuantizeLinear", ["p", "scale", "zero"], ["scores"]))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    return proto


def zipped(names: Sequence[str] | Sequence[int]) -> ModelProto:
    """Return ``classLabel`` and ``loss``, a dictionary per image, as scikit-learn."""
    proto = models.additive(W, head="probabilities")
    graph = proto.graph
    graph.node[-1].output[0] = "p"
    kind = "strings" if isinstance(names[0], str) else "int64s"
    graph.node.extend(
        [
            helper.make_node("ArgMax", ["p"], ["classLabel"], axis=1, keepdims=0),
            helper.make_node(
                "ZipMap", ["p"], ["loss"], domain="ai.onnx.ml", **{f"classlabels_{kind}": names}
            ),
        ]
    )
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("classLabel", TensorProto.INT64, ["N"]))
    loss = graph.output.add(name="loss").type.sequence_type.elem_type.map_type
    loss.key_type = TensorProto.STRING if kind == "strings" else TensorProto.INT64
    loss.value_type.tensor_type.elem_type = TensorProto.FLOAT
    onnx.checker.check_model(proto)
    return proto


def switched(name: str, element_type: int, dims: Sequence[int]) -> ModelProto:
    """Add a second input to every score, as a switch of training that must be off."""
    proto = models.additive(W)
    graph = proto.graph
    graph.node[-1].output[0] = "row"
    graph.input.append(helper.make_tensor_value_info(name, element_type, dims))
    graph.node.extend(
        [
            helper.make_node("Cast", [name], ["switch"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["row", "switch"], ["scores"]),
        ]
    )
    onnx.checker.check_model(proto)
    return proto
