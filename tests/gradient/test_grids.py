"""Tensors with a grid of positions, by their axes."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from tests.helpers.layers import read_grids, weights
from tests.helpers.models import model as make_model


def test_channels_are_told_by_operators_and_not_by_sizes() -> None:
    """All of 7 x 7 x 7: the mean over rows and columns tells which axis is the channels'."""
    node = helper.make_node
    for axes, wanted in (([1, 2], "NHWC"), ([2, 3], "NCHW")):
        proto = make_model(
            [
                node("Mul", ["image", "two"], ["a"]),
                node("Relu", ["a"], ["b"]),
                node("ReduceMean", ["b"], ["flat"], axes=axes, keepdims=0),
                node("MatMul", ["flat", "w"], ["scores"]),
            ],
            {"image": (TensorProto.FLOAT, ["N", 7, 7, 7])},
            {"scores": (TensorProto.FLOAT, ["N", 4])},
            {"w": weights(7, 4), "two": np.array(2, np.float32)},
        )
        layer = read_grids(proto, (7, 7)).describe("b")
        assert layer is not None
        assert layer.axes == wanted
