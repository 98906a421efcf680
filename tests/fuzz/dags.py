"""Random networks: their scores are those of onnx's reference evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

import onnxplain
from onnxplain.core.errors import OnnxplainError
from tests.fuzz.models import FLAGS
from tests.fuzz.mutations import check_refusal, pick
from tests.helpers import models

Rng = np.random.Generator

SIDE = 6
UNARY = (
    *("Relu", "Sigmoid", "Tanh", "Abs", "Neg", "Exp", "Softplus", "Softsign", "LeakyRelu", "Elu"),
    *("HardSigmoid", "Identity", "Floor", "Erf", "Sin", "Selu", "Reciprocal", "Sqrt", "Square"),
)
BINARY = ("Add", "Sub", "Mul", "Max", "Min", "Where", "Concat")
SHAPED = ("Conv", "AveragePool", "MaxPool", "Pad", "Resize", "Flip", "Reshape", "Reduce", "Norm")


def try_case(rng: Rng, folder: Path) -> str:
    """Draw a network; its logits are what the evaluator says, also in a batch."""
    proto = draw_network(rng)
    path = folder / "dag.onnx"
    models.save(proto, path)
    images = rng.random((3, SIDE, SIDE, 3)).astype(np.float32)
    with np.errstate(all="ignore"):
        # One by one: a network of a fixed batch takes no more.
        logits = np.concatenate(
            [
                ReferenceEvaluator(proto).run(None, {"image": image[None].transpose(0, 3, 1, 2)})[0]
                for image in images
            ]
        ).astype(np.float64)
    try:
        size = pick(rng, (1, 2, 3))
        classifier = onnxplain.load(path, head="logits", batch_size=size, **FLAGS)
        scores = classifier.scores(images)
    except OnnxplainError as error:
        return check_refusal(error, path.name)
    assert np.isfinite(logits).all(), "scores of numbers that are not finite"
    largest = max(float(np.abs(logits).max()), 1)
    np.testing.assert_allclose(scores, logits, rtol=1e-3, atol=1e-4 * largest)
    return "right"


class _Network:
    """Nodes and tensors so far; `maps` are names of tensors (N, C, H, W) with C, H, W."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.maps: dict[str, tuple[int, int, int]] = {"image": (3, SIDE, SIDE)}

    def op(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def store(self, values: Sequence[float] | np.ndarray, dtype: type = np.float32) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors[name] = np.asarray(values, dtype)
        return name

    def draw_weights(self, *shape: int) -> str:
        return self.store(self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])))

    def add_unary(self) -> None:
        name = pick(self.rng, self.maps)
        op = pick(self.rng, UNARY)
        x = self.op("Tanh", name) if op == "Exp" else name  # no infinities
        if op in ("Reciprocal", "Sqrt"):
            x = self.op("Add", self.op("Abs", x), self.store(0.5))
        made = self.op("Mul", x, x) if op == "Square" else self.op(op, x)
        self.maps[made] = self.maps[name]

    def add_binary(self) -> None:
        name = pick(self.rng, self.maps)
        shape = self.maps[name]
        alike = [other for other, its in self.maps.items() if its == shape]
        op, other = pick(self.rng, BINARY), pick(self.rng, alike)
        if self.rng.random() < 0.3:
            other = self.draw_weights(1, shape[0], 1, 1)
        if op == "Concat" and other in self.maps:
            self.maps[self.op("Concat", name, other, axis=1)] = (2 * shape[0], *shape[1:])
        elif op == "Where":
            chosen = self.op("Greater", name, self.store(0.25))
            self.maps[self.op("Where", chosen, name, other)] = shape
        else:
            self.maps[self.op("Add" if op == "Concat" else op, name, other)] = shape

    def add_shaped(self) -> None:
        name = pick(self.rng, self.maps)
        channels, rows, columns = shape = self.maps[name]
        op = pick(self.rng, SHAPED)
        if op == "Conv":
            filters, kernel = int(self.rng.integers(1, 5)), int(pick(self.rng, (1, 3)))
            weights = self.draw_weights(filters, channels, kernel, kernel)
            made = self.op("Conv", name, weights, pads=[kernel // 2] * 4)
            self.maps[made] = (filters, rows, columns)
        elif op in ("AveragePool", "MaxPool") and min(rows, columns) >= 2:
            made = self.op(op, name, kernel_shape=[2, 2], strides=[2, 2])
            self.maps[made] = (channels, rows // 2, columns // 2)
        elif op == "Pad" and max(rows, columns) <= 8:
            pads = self.store([0, 0, 1, 0, 0, 0, 0, 1], np.int64)
            made = self.op("Pad", name, pads, mode=pick(self.rng, ("constant", "edge")))
            self.maps[made] = (channels, rows + 1, columns + 1)
        elif op == "Resize" and max(rows, columns) <= 6:
            scales = self.store([1, 1, 2, 2])
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
            made = self.op("Resize", name, "", scales, nearest_mode="floor", **how)
            self.maps[made] = (channels, 2 * rows, 2 * columns)
        elif op == "Flip":
            self.maps[self.op("Transpose", name, perm=[0, 1, 3, 2])] = (channels, columns, rows)
        elif op == "Reshape":
            first = pick(self.rng, (0, 1, -1))  # 1 holds for one image alone
            target = self.store([first, rows, channels, columns], np.int64)
            self.maps[self.op("Reshape", name, target)] = (rows, channels, columns)
        elif op == "Reduce":
            how = pick(self.rng, ("ReduceMean", "ReduceMax", "ReduceL2"))
            self.maps[self.op(how, name, axes=[2, 3], keepdims=1)] = (channels, 1, 1)
        elif op == "Norm":
            scale, shift = (self.draw_weights(channels) for _ in range(2))
            mean, variance = self.draw_weights(channels), self.store(np.full(channels, 0.7))
            self.maps[self.op("BatchNormalization", name, scale, shift, mean, variance)] = shape


def draw_network(rng: Rng) -> ModelProto:
    """Draw a network of a few operators that ends in a Gemm of logits."""
    net = _Network(rng)
    for _ in range(int(rng.integers(1, 12))):
        pick(rng, (net.add_unary, net.add_binary, net.add_shaped))()
    last = list(net.maps)[-1]
    classes = int(rng.integers(2, 6))
    w = net.draw_weights(classes, int(np.prod(net.maps[last])))
    bias = net.store(rng.normal(size=classes))
    net.op("Gemm", net.op("Flatten", last), w, bias, transB=1)
    net.nodes[-1].output[0] = "scores"
    return models.model(
        net.nodes,
        {"image": (TensorProto.FLOAT, [pick(rng, ("N", 1)), 3, SIDE, SIDE])},
        {"scores": (TensorProto.FLOAT, [pick(rng, ("N", None)), classes])},
        net.tensors,
    )
