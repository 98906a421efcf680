"""What rules see of a node, and what a node reads."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from onnxplain.gradient.node import read_node


def test_node_of_a_standard_operator() -> None:
    node = read_node(helper.make_node("Resize", ["x", "", "s"], ["y"], name="up", mode="cubic"))
    assert (node.operator, node.name, node.x, node.y) == ("Resize", "up", "x", "y")
    assert [node.input(place) for place in range(4)] == ["x", "", "s", ""]
    assert node.attributes == {"mode": "cubic"}


def test_operator_of_another_domain_carries_its_name() -> None:
    node = read_node(helper.make_node("Relu", ["x"], ["y"], domain="mine"))
    assert node.operator == "mine::Relu"


def test_node_without_a_name_has_that_of_its_first_output() -> None:
    assert read_node(helper.make_node("MaxPool", ["x"], ["", "places"])).name == "places"


def test_text_of_attributes_is_str_and_tensors_stay() -> None:
    zero = onnx.numpy_helper.from_array(np.zeros(1))
    node = read_node(helper.make_node("ConstantOfShape", ["s"], ["y"], value=zero))
    assert node.attributes == {"value": zero}
