"""Find a classifier's features among its tensors, and make one tensor its only output."""

from __future__ import annotations

import difflib

from onnx import ModelProto, ValueInfoProto

from onnxplain.core.errors import ModelError
from onnxplain.graph.surgery import WEIGHT_INPUTS, list_weight_layers


def find_features_tensor(model: ModelProto) -> str:
    """Return the name of the tensor that the last layer with weights turns into scores.

    Raises
    ------
    ModelError
        If no layer has weights.
    """
    layers = list_weight_layers(model)
    if not layers:
        raise ModelError("no layer of the model has weights; name the tensor of the features")
    layer = layers[-1]
    node = next(node for node in model.graph.node if layer.name in (node.name, node.output[0]))
    weight_inputs = WEIGHT_INPUTS[node.op_type]
    others = (name for place, name in enumerate(node.input) if place not in weight_inputs)
    # Both factors of a product may be weights by their place: a stored tensor is no feature.
    stored = {*layer.tensors, *(tensor.name for tensor in model.graph.initializer)}
    features = next(others, None) or next(name for name in node.input if name not in stored)
    return str(features)


def keep_only_output(model: ModelProto, tensor: str) -> ModelProto:
    """Return the model with one of its tensors as its only output.

    Raises
    ------
    ModelError
        If no node makes a tensor of that name.
    """
    outputs = [name for node in model.graph.node for name in node.output if name]
    if tensor not in outputs:
        near = difflib.get_close_matches(tensor, outputs, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"its last are {outputs[-3:]}"
        raise ModelError(f"no node of the model makes a tensor {tensor!r}; {hint}")
    changed = ModelProto()
    changed.CopyFrom(model)
    del changed.graph.output[:]
    changed.graph.output.append(ValueInfoProto(name=tensor))  # ONNX Runtime finds its type
    return changed
