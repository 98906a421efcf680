"""Tensors inside a graph as its output: the features that a classifier sees in an image."""

from __future__ import annotations

import difflib

from onnx import ModelProto, ValueInfoProto

from onnxplain.errors import ModelError
from onnxplain.graph.surgery import WEIGHTS, weight_layers


def features_name(model: ModelProto) -> str:
    """The tensor that a classifier's last layer with weights turns into scores.

    Raises
    ------
    ModelError
        If no layer has weights.
    """
    layers = weight_layers(model)
    if not layers:
        raise ModelError("no layer of the model has weights; name the tensor of the features")
    last = layers[-1]
    node = next(one for one in model.graph.node if last.name in (one.name, one.output[0]))
    weights = WEIGHTS[node.op_type]
    free = (name for place, name in enumerate(node.input) if place not in weights)
    # A product's factors may both be weights by their place: what is stored is no feature.
    stored = {*last.tensors, *(tensor.name for tensor in model.graph.initializer)}
    found = next(free, None) or next(name for name in node.input if name not in stored)
    return str(found)


def with_output(model: ModelProto, tensor: str) -> ModelProto:
    """The model whose only output is one of its tensors.

    Raises
    ------
    ModelError
        If no node makes a tensor of that name.
    """
    made = [name for node in model.graph.node for name in node.output if name]
    if tensor not in made:
        near = difflib.get_close_matches(tensor, made, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"its last are {made[-3:]}"
        raise ModelError(f"no node of the model makes a tensor {tensor!r}; {hint}")
    out = ModelProto()
    out.CopyFrom(model)
    del out.graph.output[:]
    out.graph.output.append(ValueInfoProto(name=tensor))  # ONNX Runtime finds its type
    return out
