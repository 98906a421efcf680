"""A gradient graph whose weights take one step of training on its own image first.

The step is ``w - rate dL/dw`` for every weight w, with the cross-entropy L of the target, as if
training went on with this one image [1]_. It is computed in the same graph, from the trained
weights, and so the graph takes one image per call.

References
----------
.. [1] Rebuffi, Fong, Ji & Vedaldi, There and back again: Revisiting backpropagation saliency
   methods, CVPR 2020, sec. 4, :arXiv:`2004.02866`
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto

from onnxplain.gradient.backward import gradient_name
from onnxplain.gradient.build import GradientRequest, build_gradient
from onnxplain.gradient.facts import Feeds, Measure, read_real_type
from onnxplain.gradient.heads import SCORE, TARGET
from onnxplain.gradient.refusal import GradientError
from onnxplain.graph.writer import GraphWriter

STEP, TRAINED = "step/", "trained/"  # in front of names


def build_stepped_gradient(
    model: ModelProto, request: GradientRequest, measure: Measure, example: Feeds, rate: float
) -> ModelProto:
    """Build the gradient graph of a model whose weights take a step first.

    Parameters
    ----------
    model, request, measure
        As for `onnxplain.gradient.build.build_gradient`.
    example : feeds
        One image.
    rate : float
        The learning rate.

    Raises
    ------
    GradientError
        If the model has no gradient by its image or its weights.
    """
    looked = build_gradient(model, replace(request, whole=True), measure, [example])
    # The loss is softplus(-s) of the log-odds s, of one class or of an independent label.
    step = replace(
        request,
        kind="log-odds",
        tensors=(),
        reads=(),
        image=False,
        rules=None,
        parameters=True,
        whole=True,
    )
    stepped = build_gradient(model, step, measure, [example])
    slopes = {name: f"{STEP}{gradient_name(name)}" for name in _list_parameters(stepped.graph)}
    weights = [tensor for tensor in looked.graph.initializer if tensor.name in slopes]
    if not weights:
        raise GradientError("the model has no weights that a step could change")
    kept = {request.input, TARGET}
    for tensor in weights:
        kept.add(tensor.name)
    front = _rename(stepped.graph, kept)
    trained = {tensor.name: f"{TRAINED}{tensor.name}" for tensor in weights}
    for node in front.node:
        node.input[:] = [trained.get(name, name) for name in node.input]
    for tensor in weights:
        tensor.name = trained[tensor.name]
    writer = GraphWriter(front, prefix=f"{STEP}weights/")
    dtype = read_real_type(looked.graph, request.input)
    wrong = writer.op("Sigmoid", writer.op("Neg", f"{STEP}{SCORE}"))
    factor = writer.op("Mul", wrong, writer.store(np.array(rate, dtype)))
    for name, old in trained.items():
        writer.op("Add", old, writer.op("Mul", factor, slopes[name]), out=name)
    nodes = [*front.node, *looked.graph.node]
    del looked.graph.node[:]
    looked.graph.node.extend(nodes)
    looked.graph.initializer.extend(
        tensor for tensor in front.initializer if tensor.name not in trained
    )
    return looked


def _list_parameters(graph: GraphProto) -> list[str]:
    """List the weights whose gradients a graph returns."""
    outputs = {value.name for value in graph.output}
    return [tensor.name for tensor in graph.initializer if gradient_name(tensor.name) in outputs]


def _rename(graph: GraphProto, kept: set[str]) -> GraphProto:
    """Return a graph with another name for every tensor and node, but for those that are kept."""

    def name(old: str) -> str:
        return old if not old or old in kept else f"{STEP}{old}"

    front = GraphProto()
    for node in graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.name = node.name and f"{STEP}{node.name}"
        copy.input[:] = map(name, node.input)
        copy.output[:] = map(name, node.output)
        front.node.append(copy)
    for tensor in graph.initializer:
        if tensor.name not in kept:
            front.initializer.add().CopyFrom(tensor)
            front.initializer[-1].name = name(tensor.name)
    return front
