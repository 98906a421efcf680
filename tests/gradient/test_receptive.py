"""The reach of convolutions and pooling."""

from __future__ import annotations

import pytest
from onnx import helper

from onnxplain.gradient.cuts import find_region
from onnxplain.gradient.receptive import find_widest_tensor

node = helper.make_node
DIMS = {"w5": (8, 3, 5, 5)}


@pytest.mark.parametrize(
    ("first", "second", "widest"),
    [
        ({"kernel_shape": [3, 3]}, {"kernel_shape": [5, 5]}, "b"),
        ({"kernel_shape": [3, 3], "dilations": [3, 3]}, {"kernel_shape": [5, 5]}, "a"),
        ({"kernel_shape": [1, 1]}, {}, "b"),  # the kernel's size is that of the weights
    ],
)
def test_the_widest_of_two_streams(first: dict, second: dict, widest: str) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], **first),
        node("Conv", ["x", "w5"], ["b"], **second),
        node("Add", ["a", "b"], ["y"]),
    ]
    region = find_region(helper.make_graph(nodes, "g", [], []), "x", "y")
    assert find_widest_tensor(region, {"a", "b"}, DIMS) == widest


def test_strides_widen_what_follows_and_a_mean_sees_everything() -> None:
    nodes = [
        node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p", "w"], ["strided"], kernel_shape=[3, 3]),  # sees 2 + 2 * 2 pixels
        node("Conv", ["x", "w5"], ["plain"]),  # 5
        node("GlobalAveragePool", ["x"], ["mean"]),
        node("Mul", ["x", "mean"], ["gated"]),
        node("Sum", ["strided", "plain", "gated"], ["y"]),
    ]
    region = find_region(helper.make_graph(nodes, "g", [], []), "x", "y")
    assert find_widest_tensor(region, {"strided", "plain"}, DIMS) == "strided"
    assert find_widest_tensor(region, {"strided", "plain", "gated"}, DIMS) == "gated"
    assert find_widest_tensor(region, (), DIMS) is None
