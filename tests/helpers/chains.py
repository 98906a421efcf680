"""A small chain of layers as an ONNX file and as the steps of the slow definition of relevance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from tests.helpers import models
from tests.helpers.specs import spec_of
from tests.reference.relevance import Linear, Step, list_windows, unroll

SIZE, CLASSES = (8, 10), 3
MEAN, STD = (0.4, 0.5, 0.6), (0.5, 0.4, 0.3)
SPEC = spec_of(size=SIZE, classes=CLASSES, mean=MEAN, std=STD)
BOUNDS = tuple(
    np.repeat([(end - m) / s for m, s in zip(MEAN, STD, strict=True)], SIZE[0] * SIZE[1])
    for end in (0, 1)
)
node = helper.make_node


def draw_weights(seed: int = 4) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    shapes: dict[str, Sequence[int]] = {
        "w1": (4, 3, 3, 3), "b1": (4,), "w2": (5, 4, 3, 3), "b2": (5,),
        "w3": (6, 30), "b3": (6,), "w4": (CLASSES, 6), "b4": (CLASSES,),
    }  # fmt: skip
    drawn = {
        name: rng.normal(size=shape) / np.sqrt(max(np.prod(shape[1:]), 4))
        for name, shape in shapes.items()
    }
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def make_net(weights: dict[str, Any], *, bias: bool = True, pad: int = 1) -> ModelProto:
    """Make the file; without padding it takes images that are larger by 2."""
    size = [side + 2 * (1 - pad) for side in SIZE]

    def add(name: str) -> list[str]:
        return [name] if bias else []

    nodes = [
        node("Conv", ["image", "w1", *add("b1")], ["a1"], pads=[pad] * 4),
        node("Relu", ["a1"], ["r1"]),
        node("MaxPool", ["r1"], ["m1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["m1", "w2", *add("b2")], ["a2"]),
        node("Relu", ["a2"], ["r2"]),
        node("Flatten", ["r2"], ["f"]),
        node("Gemm", ["f", "w3", *add("b3")], ["a3"], transB=1),
        node("Relu", ["a3"], ["r3"]),
        node("Gemm", ["r3", "w4", *add("b4")], ["scores"], transB=1),
    ]
    kept = {name: value for name, value in weights.items() if bias or name[0] == "w"}
    return models.model(
        nodes,
        {"image": (TensorProto.FLOAT, ["N", 3, *size])},
        {"scores": (TensorProto.FLOAT, ["N", CLASSES])},
        kept,
    )


def make_steps(weights: dict[str, Any], *, bias: bool = True) -> list[Step]:
    w = {
        name: value.astype(np.float64) * (bias or name[0] == "w") for name, value in weights.items()
    }
    conv1, shape = unroll(w["w1"], w["b1"], (3, *SIZE), 1, 1)
    windows = list_windows(shape, 2)
    pooled = (shape[0], shape[1] // 2, shape[2] // 2)
    conv2, _ = unroll(w["w2"], w["b2"], pooled, 0, 1)
    dense = [Linear(w[f"w{n}"], w[f"b{n}"], np.ones(w[f"w{n}"].shape, bool)) for n in (3, 4)]
    return [
        *(Step("conv", conv1), Step("relu"), Step("max", windows=windows)),
        *(Step("conv", conv2), Step("relu"), Step("dense", dense[0])),
        *(Step("relu"), Step("dense", dense[1])),
    ]


def to_values(image: NDArray[np.float32]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = ((image.astype(np.float64) - MEAN) / STD).transpose(2, 0, 1)
    return values.ravel()
