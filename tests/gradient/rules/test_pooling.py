"""Rules of pooling over windows."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.helpers.gradients import assert_rule, draw_distinct, draw_normal


def starts_inside(size: int, kernel: int, stride: int, pad: int) -> bool:
    """Return whether the last window of a pooling that rounds up starts inside the input.

    Where it does not, ONNX Runtime's shape inference and its kernels differ.
    """
    return -(-(size + 2 * pad - kernel) // stride) * stride < size + pad


@given(
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 1),
    ceil=st.booleans(),
    include=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_average_pooling(kernel: int, stride: int, pad: int, ceil: bool, include: bool) -> None:
    assume(pad < kernel)
    assume(not ceil or starts_inside(6, kernel, stride, pad))
    assert_rule(
        "AveragePool",
        draw_normal(1, 2, 6, 7),
        kernel_shape=[kernel, 2],
        strides=[stride, 1],
        pads=[pad, 0, pad, 0],
        ceil_mode=int(ceil and not include),
        count_include_pad=int(include),
    )


def test_average_pooling_with_automatic_pads() -> None:
    assert_rule(
        "AveragePool",
        draw_normal(2, 3, 7, 7),
        kernel_shape=[3, 3],
        strides=[2, 2],
        auto_pad="SAME_UPPER",
        grows=True,
    )


@given(
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 1),
    ceil=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(max_examples=30, deadline=None)
def test_max_pooling(kernel: int, stride: int, pad: int, ceil: bool, seed: int) -> None:
    assume(pad < kernel)
    assume(not ceil or starts_inside(6, kernel, stride, pad))
    assert_rule(
        "MaxPool",
        draw_distinct(2, 2, 6, 7, seed=seed),
        kernel_shape=[kernel, 2],
        strides=[stride, 1],
        pads=[pad, 0, pad, 0],
        ceil_mode=int(ceil),
        grows=True,
    )
