"""Older opsets are declared only where that changes nothing."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, checker, helper

from onnxplain.graph.opsets import lower_opset
from tests.helpers import models

node = helper.make_node
IMAGE = {"x": (TensorProto.FLOAT, ["N", 4, 6, 6])}
OUTPUT = {"y": (TensorProto.FLOAT, ["A", "B", "C", "D"])}


def lower(nodes: list, opset: int, tensors: dict | None = None) -> ModelProto:
    model = models.model(nodes, IMAGE, OUTPUT, tensors, opset=opset, ir_version=10)
    lower_opset(model, 18, np.dtype(np.float32))
    return model


@pytest.mark.parametrize("opset", [19, 20, 22])
def test_operators_that_only_take_more_types_are_declared_as_older(opset: int) -> None:
    shape = {"shape": np.array([0, 4, -1, 1])}
    model = lower(
        [node("AveragePool", ["x"], ["a"], kernel_shape=[2, 2]), node("Relu", ["a"], ["b"]),
         node("Reshape", ["b", "shape"], ["y"])],
        opset,
        shape,
    )  # fmt: skip
    assert [entry.version for entry in model.opset_import] == [18]
    checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    ("nodes", "tensors"),
    [
        (
            [node("RegexFullMatch", ["s"], ["m"], pattern="a"), node("Relu", ["x"], ["y"])],
            {"s": np.array(["a"])},
        ),
        ([node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2])], {}),
        ([node("AveragePool", ["x"], ["y"], kernel_shape=[4, 4], ceil_mode=1)], {}),
        ([node("Pad", ["x", "pads"], ["y"], mode="wrap")], {"pads": np.array([0, 0, 1, 1] * 2)}),
        (
            [node("GroupNormalization", ["x", "scale", "bias"], ["y"], num_groups=2)],
            {"scale": np.ones(4, np.float32), "bias": np.zeros(4, np.float32)},
        ),
    ],
    ids=["operator", "attribute", "fixed pooling", "value", "other meaning"],
)
def test_what_is_new_or_changed_keeps_the_opset(nodes: list, tensors: dict) -> None:
    assert [entry.version for entry in lower(nodes, 21, tensors).opset_import] == [21]


def test_older_models_and_other_domains_stay() -> None:
    model = models.model([node("Relu", ["x"], ["y"])], IMAGE, OUTPUT, opset=17)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    lower_opset(model, 18, np.dtype(np.float32))
    assert [(e.domain, e.version) for e in model.opset_import] == [("", 17), ("com.microsoft", 1)]


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_written_out(approximate: str) -> None:
    """Two of them, one in front of the other, by ONNX Runtime with and without Gelu."""
    nodes = [
        node("Gelu", ["x"], ["a"], approximate=approximate),
        node("Gelu", ["a"], ["y"], approximate=approximate),
    ]
    before = models.model(nodes, IMAGE, OUTPUT, opset=20, ir_version=10)
    after = lower(nodes, 20)
    assert [entry.version for entry in after.opset_import] == [18]
    checker.check_model(after, full_check=True)
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 6)).astype(np.float32) * 3
    one, two = (
        ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"x": x}
        )[0]
        for m in (before, after)
    )
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
