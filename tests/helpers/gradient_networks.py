"""Whole small networks, their gradients, and changes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxplain.gradient import GradientRequest, build_gradient, gradient_name
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers.gradients import Array, PlainMeasure, draw_normal, ints

CLASSES = 4
DX = gradient_name("x")


def make_network(end: str = "", dtype: type = np.float32, opset: int = 18) -> ModelProto:
    """Make a smooth network with a residual branch, a gate per channel and pooling."""
    node, rng = helper.make_node, np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(6, 3, 3, 3)) / 4,
        "w2": rng.normal(size=(6, 1, 3, 3)) / 2,
        "w3": rng.normal(size=(6, 6, 1, 1)) / 2,
        "w4": rng.normal(size=(6, CLASSES)),
    }
    nodes = [
        node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Tanh", ["a"], ["b"]),
        node("Conv", ["b", "w2"], ["c"], pads=[1, 1, 1, 1], group=6),
        node("GlobalAveragePool", ["c"], ["d"]),
        node("Conv", ["d", "w3"], ["e"]),
        node("Sigmoid", ["e"], ["gate"]),
        node("Mul", ["c", "gate"], ["f"]),
        node("Add", ["f", "b"], ["sum"], name="residual"),
        node("Softplus", ["sum"], ["soft"]),
        node("GlobalAveragePool", ["soft"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("MatMul", ["flat", "w4"], ["z" if end else "y"]),
    ]
    if end:
        nodes.append(node(end, ["z"], ["y"]))
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", code, ["N", 3, 9, 10])],
        [helper.make_tensor_value_info("y", code, ["N", CLASSES])],
        [numpy_helper.from_array(v.astype(dtype), k) for k, v in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def make_relu_network() -> ModelProto:
    """Make three matrix products `a`, `b`, `c` with Relu between them."""
    rng, node = np.random.default_rng(0), helper.make_node
    weights = {k: rng.normal(size=(5, 5)).astype("f") for k in ("a", "b", "c")}
    nodes = [
        node("MatMul", ["x", "a"], ["h1"]), node("Relu", ["h1"], ["r1"], name="first"),
        node("MatMul", ["r1", "b"], ["h2"]), node("Relu", ["h2"], ["r2"], name="second"),
        node("MatMul", ["r2", "c"], ["y"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "relus",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def draw_images(n: int, dtype: type = np.float32) -> Array:
    """Draw images that `make_network` takes."""
    return draw_normal(n, 3, 9, 10).astype(dtype)


def build_network_gradient(
    model: ModelProto, request: GradientRequest, **options: Any
) -> ModelProto:
    """Build the gradient of a model that takes images as `make_network` does."""
    examples = [{"x": draw_images(n)} for n in (2, 3)]
    return build_gradient(model, request, RuntimeMeasure(), examples, **options)


def build_relu_gradient(model: ModelProto | None = None, **options: Any) -> ModelProto:
    """Build the gradient of `make_relu_network` or a change of it."""
    examples = [{"x": draw_normal(n, 5).astype("f")} for n in (2, 3)]
    request = GradientRequest("x", "y", kind="logit")
    model = make_relu_network() if model is None else model
    return build_gradient(model, request, RuntimeMeasure(), examples, **options)


def run_model(model: ModelProto, x: Array) -> dict[str, Array]:
    """Return all outputs of a model for images `x`."""
    return PlainMeasure().run(model.SerializeToString(), {"x": x})


def run_gradient(model: ModelProto, x: Array, targets: list[int]) -> dict[str, Array]:
    """Return all outputs of a gradient graph for images `x`."""
    return PlainMeasure().run(model.SerializeToString(), {"x": x, "target": ints(*targets)})


def compute_gradient(
    model: ModelProto, request: GradientRequest, x: Array, targets: list[int]
) -> Array:
    """Compute the gradient of a model that takes images as `make_network` does."""
    return run_gradient(build_network_gradient(model, request), x, targets)[DX]


def rename_tensor(model: ModelProto, old: str, new: str) -> ModelProto:
    """Give a tensor of a model another name."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for stored in model.graph.initializer:
        stored.name = new if stored.name == old else stored.name
    return model


def move_into_branch(model: ModelProto, weights: str = "w1") -> ModelProto:
    """Put the first node, with its weights, into a branch that is always taken."""
    graph = model.graph
    first, stored = graph.node[0], graph.initializer[0]
    first.input[1] = stored.name = weights
    out = onnx.ValueInfoProto(name=first.output[0])
    branch = helper.make_graph([first], "branch", [], [out], [stored])
    choice = helper.make_node("If", ["yes"], [out.name], then_branch=branch, else_branch=branch)
    first.CopyFrom(choice)
    stored.CopyFrom(numpy_helper.from_array(np.array(True), "yes"))
    return model
