"""The node where a number that is not finite arises."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from onnxplain.gradient import GradientRequest, build_gradient, find_nonfinite_node
from tests.helpers.gradient_networks import (
    CLASSES,
    DX,
    build_network_gradient,
    draw_images,
    make_network,
)
from tests.helpers.gradients import PlainMeasure, draw_normal, ints, make_model


@pytest.mark.parametrize(("value", "operator"), [(np.nan, "Mul"), (np.inf, "Div")])
def test_node_of_a_bad_number_is_found_on_the_way_back_too(value: float, operator: str) -> None:
    """The square root of 0 is fine, its slope is not; an infinity before it is no NaN."""
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["a"]),
        helper.make_node("Sqrt", ["a"], ["y"], name="root"),
    ]
    x = {"x": draw_normal(2, CLASSES).astype("f")}
    model = make_model(nodes, x, {"zero": np.zeros(1, "f")}, ["y"])
    examples = [{"x": draw_normal(n, CLASSES).astype("f")} for n in (2, 3)]
    request = GradientRequest("x", "y", kind="logit")
    gradient = build_gradient(model, request, PlainMeasure(), examples)
    data, feeds = gradient.SerializeToString(), {**x, "target": ints(0, 1)}
    outputs = PlainMeasure().run(data, feeds)
    assert np.isfinite(outputs["y"]).all()
    assert np.isnan(outputs[DX]).any()
    assert f"({operator})" in str(find_nonfinite_node(data, PlainMeasure(), feeds, value))


def test_no_node_is_found_where_all_numbers_are_finite() -> None:
    data = build_network_gradient(make_network(), GradientRequest("x", "y")).SerializeToString()
    feeds = {"x": draw_images(2), "target": ints(0, 1)}
    assert find_nonfinite_node(data, PlainMeasure(), feeds, np.nan) is None
