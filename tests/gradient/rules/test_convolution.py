"""Rules of convolutions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from onnxplain.gradient import GradientError
from tests.helpers.gradients import Scored, assert_rule, draw_normal


@given(
    group=st.sampled_from([1, 2, 4]),
    widen=st.integers(1, 2),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_convolutions(
    group: int, widen: int, kernel: int, stride: int, dilation: int, pads: list[int]
) -> None:
    weight = draw_normal(4 * widen, 4 // group, kernel, 2, seed=1)
    assert_rule(
        "Conv",
        draw_normal(1, 4, 6, 7),
        constants={1: weight, 2: draw_normal(4 * widen, seed=2)},
        group=group,
        strides=[stride, 1 + stride % 2],
        dilations=[dilation, 1],
        pads=pads,
    )


@given(
    group=st.sampled_from([1, 2, 4]),
    widen=st.integers(1, 2),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
@settings(max_examples=25, deadline=None)
def test_kernels_and_biases(
    group: int, widen: int, kernel: int, stride: int, dilation: int, pads: list[int]
) -> None:
    """Of two images, over which the gradient is summed."""
    assert_rule(
        "Conv",
        draw_normal(2, 4, 6, 7),
        draw_normal(4 * widen, 4 // group, kernel, 2, seed=1),
        draw_normal(4 * widen, seed=2),
        group=group,
        strides=[stride, 1 + stride % 2],
        dilations=[dilation, 1],
        pads=pads,
    )


@pytest.mark.parametrize("automatic", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_convolutions_with_automatic_pads(automatic: str, stride: int) -> None:
    constants = {1: draw_normal(3, 2, 3, 2, seed=1)}
    assert_rule(
        "Conv",
        draw_normal(2, 2, 7, 6),
        constants=constants,
        auto_pad=automatic,
        strides=[stride, stride],
        grows=True,
    )


def test_convolutions_of_one_and_three_axes() -> None:
    assert_rule("Conv", draw_normal(2, 2, 9), constants={1: draw_normal(3, 2, 3)}, strides=[2])
    assert_rule("Conv", draw_normal(1, 2, 3, 4, 3), constants={1: draw_normal(2, 2, 2, 2, 2)})


def test_gradient_of_a_depthwise_convolution_of_stride_1_is_a_convolution() -> None:
    """A transposed convolution with a kernel per channel is slow on CPU."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4, pads=[1, 1, 1, 1])
    scored = Scored([node], {"x": draw_normal(1, 4, 5, 5)}, {"w": draw_normal(4, 1, 3, 3)})
    operators = [node.op_type for node in scored.build_gradient(np.float32).graph.node]
    assert operators.count("Conv") == 2
    assert "ConvTranspose" not in operators


@pytest.mark.parametrize("pads", [[0, 0, 1, 1], [1, 0, 0, 1], [2, 1, 1, 1], [1, 1, 1, 1]])
def test_transposed_convolutions_have_symmetric_pads(pads: list[int]) -> None:
    """CUDA's provider leaves those of other pads to the CPU."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=pads)
    scored = Scored([node], {"x": draw_normal(1, 2, 8, 7)}, {"w": draw_normal(3, 2, 3, 3)})
    graph = scored.build_gradient(np.float32).graph
    (transposed,) = [node for node in graph.node if node.op_type == "ConvTranspose"]
    (written,) = [helper.get_attribute_value(a) for a in transposed.attribute if a.name == "pads"]
    assert written[:2] == written[2:]
    weight = draw_normal(3, 2, 3, 3)
    assert_rule("Conv", draw_normal(1, 2, 8, 7), constants={1: weight}, strides=[2, 2], pads=pads)


@given(
    group=st.sampled_from([1, 2]),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    extra=st.integers(0, 2),
    pad=st.integers(0, 1),
)
@settings(max_examples=30, deadline=None)
def test_transposed_convolutions(
    group: int, kernel: int, stride: int, dilation: int, extra: int, pad: int
) -> None:
    assume(extra < stride)
    assume(dilation * (kernel - 1) >= pad)
    assert_rule(
        "ConvTranspose",
        draw_normal(1, 4, 4, 5),
        constants={1: draw_normal(4, 2, kernel, kernel, seed=1)},
        group=group,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
        pads=[pad] * 4,
        output_padding=[extra] * 2,
    )


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
def test_bias_has_a_gradient_too(operator: str) -> None:
    x, bias = draw_normal(2, 4, 3, 5), draw_normal(4, seed=2)
    assert_rule(operator, x, bias, constants={1: draw_normal(4, 4, 2, 2, seed=1)})


def test_weights_that_depend_on_the_image_are_refused() -> None:
    nodes = [
        helper.make_node("Exp", ["x"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"], name="dynamic"),
    ]
    with pytest.raises(GradientError, match=r"'dynamic' \(Conv\).*weights depend on the image"):
        Scored(nodes, {"x": draw_normal(1, 1, 3, 3)}, {}).compute_gradients(np.float64)
