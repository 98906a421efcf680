"""Tiny classifiers whose answers change with the run, the place in the batch, or the other images.

All are the `additive` network of `tests.helpers.models` with something in front of its scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.helpers import models

SIZE = (8, 8)
W = models.weights(SIZE)


def end_with(
    nodes: Sequence[NodeProto],
    *,
    batch: int | str = "N",
    opset: int = 17,
    check: bool = True,
    **tensors: Any,
) -> ModelProto:
    """Let nodes make ``scores`` (N, 3) of the weighted sums ``z`` (N, 3)."""
    proto = models.additive(W, batch=batch, opset=opset)
    graph = proto.graph
    graph.node[-1].output[0] = "z"
    graph.node.extend(nodes)
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()
    )
    if check:
        onnx.checker.check_model(proto)
    return proto


def noisy(batch: int | str = "N", op: str = "RandomNormalLike") -> ModelProto:
    """Adds noise to the scores."""
    drawn = helper.make_node(op, ["z"], ["n"], name="noise")
    return end_with([drawn, helper.make_node("Add", ["z", "n"], ["scores"])], batch=batch)


def dropping(*, training: bool, ratio: float = 0.5, batch: int | str = "N") -> ModelProto:
    """Drops scores, if `training`."""
    node = helper.make_node("Dropout", ["z", "ratio", "training"], ["scores"], name="drop")
    return end_with([node], batch=batch, ratio=np.float32(ratio), training=np.array(training))


def secretly_dropping(batch: int | str = "N") -> ModelProto:
    """Drops scores where the largest is positive: what a scan of the graph cannot tell."""
    nodes = [
        helper.make_node("ReduceMax", ["z"], ["top"], keepdims=0),
        helper.make_node("Greater", ["top", "low"], ["training"]),
        helper.make_node("Dropout", ["z", "ratio", "training"], ["scores"], name="drop"),
    ]
    return end_with(nodes, batch=batch, ratio=np.float32(0.5), low=np.float32(-1e9))


def normalising(batch: int | str = "N", *, training: bool = True) -> ModelProto:
    """A BatchNormalization of the scores, in training mode or not."""
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    names = ["scores", "mean", "var"] if training else ["scores"]
    node = helper.make_node(
        "BatchNormalization",
        ["z", "scale", "bias", "old_mean", "old_var"],
        names,
        name="bn",
        training_mode=int(training),
    )
    return end_with([node], batch=batch, scale=ones, bias=zeros, old_mean=zeros, old_var=ones)


def mixing(batch: int | str = "N") -> ModelProto:
    """Subtracts half of the mean score of the batch: a sum that reaches over its images."""
    nodes = [
        helper.make_node("ReduceMean", ["z"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Mul", ["mean", "half"], ["part"]),
        helper.make_node("Sub", ["z", "part"], ["scores"]),
    ]
    return end_with(nodes, batch=batch, half=np.float32(0.5))


def shuffling(batch: int) -> ModelProto:
    """Reads the scores (N, 3) as (3, N) and transposes them: rows hold those of other images."""
    nodes = [
        helper.make_node("Reshape", ["z", "turned"], ["t"]),
        helper.make_node("Transpose", ["t"], ["scores"], perm=[1, 0]),
    ]
    return end_with(nodes, batch=batch, turned=np.array([3, batch], np.int64))


def quantising(batch: int | str = "N") -> ModelProto:
    """Quantises the image by the extremes of the whole batch, as quantize_dynamic does."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["image"], ["q", "s", "zp"]),
        helper.make_node("DequantizeLinear", ["q", "s", "zp"], ["begun"]),
    ]
    return models.begin_with(nodes, models.additive(W, batch=batch))


def quantise(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images as `quantising` sees each of them alone (ONNX's definition, 8 bits from 0)."""

    def quantise_one(image: NDArray[np.float32]) -> NDArray[np.float32]:
        scale = np.float32(image.max()) / np.float32(255)
        return (np.rint(image / scale) * scale).astype(np.float32)

    return np.stack([quantise_one(image) for image in images])


def looping() -> ModelProto:
    """A Scan over the images of the batch, each of which gets the sum of those before it added."""
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [3])
    row = helper.make_tensor_value_info("row", TensorProto.FLOAT, [3])
    after = helper.make_tensor_value_info("after", TensorProto.FLOAT, [3])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [3])
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "row"], ["after"]),
            helper.make_node("Identity", ["after"], ["out"]),
        ],
        "body",
        [state, row],
        [after, out],
    )
    node = helper.make_node("Scan", ["start", "z"], ["sum", "scores"], body=body, num_scan_inputs=1)
    return end_with([node], start=np.zeros(3, np.float32))
