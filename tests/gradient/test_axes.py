"""Operators tell which axis holds the channels."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper

from onnxplain.gradient.axes import find_channel_axis
from onnxplain.gradient.cuts import find_region

node = helper.make_node
SAME = (1, 7, 7, 7)


@pytest.mark.parametrize(
    ("following", "axis"),
    [
        ([node("Conv", ["t", "w"], ["y"])], 1),
        ([node("GlobalAveragePool", ["t"], ["y"])], 1),
        ([node("Relu", ["t"], ["u"]), node("MaxPool", ["u"], ["y"])], 1),
        ([node("Transpose", ["t"], ["u"], perm=[0, 3, 1, 2]), node("Conv", ["u", "w"], ["y"])], 3),
        ([node("Transpose", ["t"], ["y"], perm=[0, 2, 3, 1])], 1),
        ([node("LayerNormalization", ["t", "s"], ["y"], axis=-1)], 3),
        ([node("MatMul", ["t", "matrix"], ["y"])], 3),
        ([node("ReduceMean", ["t"], ["y"], axes=[1, 2])], 3),
        ([node("ReduceMean", ["t", "axes"], ["y"])], 1),
        ([node("ReduceMean", ["t"], ["y"], axes=[-1])], 3),
        ([node("Add", ["t", "bias"], ["y"])], 1),
        ([node("Add", ["t", "vector"], ["y"])], 3),
        ([node("Mul", ["t", "gate"], ["y"])], 3),
        ([node("Flatten", ["t"], ["y"])], None),
    ],
)
def test_the_nearest_operator_that_tells_decides(
    following: list[NodeProto], axis: int | None
) -> None:
    nodes = [node("Foo", ["x"], ["t"]), *following]
    region = find_region(helper.make_graph(nodes, "g", [], []), "x", "y")
    dims = {
        **dict.fromkeys(("x", "t", "u", "y"), SAME),
        "matrix": (7, 5),
        "bias": (7, 1, 1),
        "vector": (7,),
        "gate": (1, 1, 1, 7),
    }
    assert find_channel_axis("t", region, dims, {"axes": np.array([2, 3])}) == axis
