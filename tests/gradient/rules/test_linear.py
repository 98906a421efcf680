"""Rules of matrix products, convolutions, pooling and resizing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from onnxplain.gradient import GradientError
from tests.helpers.gradients import Scored, assert_rule, distinct, ints, normal

MATRICES = [
    ((2, 3), (3, 4)),
    ((2, 3, 4), (4, 5)),
    ((4, 3), (2, 3, 5)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((2, 3, 4), (2, 4, 3)),
    ((4,), (4, 3)),
    ((3, 4), (4,)),
    ((4,), (4,)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
]


@pytest.mark.parametrize(("a", "b"), MATRICES, ids=str)
def test_matrix_products(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    assert_rule("MatMul", normal(*a), normal(*b, seed=1))


def test_matrix_product_with_a_constant_and_a_growing_batch() -> None:
    assert_rule("MatMul", normal(2, 3, 4), constants={1: normal(4, 5)}, grows=True)


@given(
    flip_a=st.booleans(),
    flip_b=st.booleans(),
    alpha=st.floats(0.5, 2),
    beta=st.floats(0.5, 2),
    bias=st.sampled_from([(4,), (2, 4), (2, 1), (1,), ()]),
)
@settings(max_examples=20, deadline=None)
def test_gemm(flip_a: bool, flip_b: bool, alpha: float, beta: float, bias: tuple[int, ...]) -> None:
    a, b = normal(2, 3), normal(3, 4, seed=1)
    a, b = a.T if flip_a else a, b.T if flip_b else b
    attributes = {"alpha": alpha, "beta": beta, "transA": int(flip_a), "transB": int(flip_b)}
    assert_rule("Gemm", a, b, normal(*bias, seed=2), **attributes)


@pytest.mark.parametrize("equation", ["bij,bjk->bik", "bij,kj->bik", "ij,jk->ki", "bhd,hdo->bo"])
def test_einsum(equation: str) -> None:
    sizes = dict(zip("bijkhdo", (2, 3, 4, 5, 2, 3, 4), strict=True))
    left = equation.split("->")[0].split(",")
    operands = [normal(*(sizes[c] for c in term), seed=k) for k, term in enumerate(left)]
    assert_rule("Einsum", *operands, equation=equation)


@pytest.mark.parametrize("equation", ["ii->i", "ij,k->j", "ij,jk"])
def test_einsum_in_forms_without_a_rule_is_refused(equation: str) -> None:
    terms = equation.split("->")[0].split(",")
    inputs = {f"x{k}": normal(*(3 for _ in term)) for k, term in enumerate(terms)}
    node = helper.make_node("Einsum", list(inputs), ["y"], equation=equation)
    with pytest.raises(GradientError, match="its equation"):
        Scored([node], inputs, {}).gradients(np.float64)


@pytest.mark.parametrize("batches", [(2, 1), (1, 2), (2, 2)])
def test_einsum_of_operands_that_are_repeated(batches: tuple[int, int]) -> None:
    a, b = batches
    x, z = normal(a, 4, 5), normal(b, 5, 3, seed=1)
    assert_rule("Einsum", x, z, equation="bij,bjk->bik")
    assert_rule("Einsum", x, constants={1: z}, equation="bij,bjk->bik", grows=a > 1 == b)


def test_einsum_that_sums_along_an_index_that_it_repeats_is_refused() -> None:
    node = helper.make_node("Einsum", ["x", "z"], ["y"], equation="ij,jk->ik")
    inputs = {"x": normal(2, 3), "z": normal(1, 4)}
    with pytest.raises(GradientError, match="repeats an index"):
        Scored([node], inputs, {}).gradients(np.float64)


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
    weight = normal(4 * widen, 4 // group, kernel, 2, seed=1)
    assert_rule(
        "Conv",
        normal(1, 4, 6, 7),
        constants={1: weight, 2: normal(4 * widen, seed=2)},
        group=group,
        strides=[stride, 1 + stride % 2],
        dilations=[dilation, 1],
        pads=pads,
    )


@pytest.mark.parametrize("automatic", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_convolutions_that_pad_by_themselves(automatic: str, stride: int) -> None:
    constants = {1: normal(3, 2, 3, 2, seed=1)}
    assert_rule(
        "Conv",
        normal(2, 2, 7, 6),
        constants=constants,
        auto_pad=automatic,
        strides=[stride, stride],
        grows=True,
    )


def test_convolutions_of_one_and_three_axes() -> None:
    assert_rule("Conv", normal(2, 2, 9), constants={1: normal(3, 2, 3)}, strides=[2])
    assert_rule("Conv", normal(1, 2, 3, 4, 3), constants={1: normal(2, 2, 2, 2, 2)})


def test_depthwise_convolution_of_stride_1_goes_back_as_a_convolution() -> None:
    """A transposed convolution with a kernel for each channel is slow on CPU."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4, pads=[1, 1, 1, 1])
    scored = Scored([node], {"x": normal(1, 4, 5, 5)}, {"w": normal(4, 1, 3, 3)})
    operators = [one.op_type for one in scored.built(np.float32).graph.node]
    assert operators.count("Conv") == 2
    assert "ConvTranspose" not in operators


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
        normal(1, 4, 4, 5),
        constants={1: normal(4, 2, kernel, kernel, seed=1)},
        group=group,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
        pads=[pad] * 4,
        output_padding=[extra] * 2,
    )


def starts_inside(size: int, kernel: int, stride: int, pad: int) -> bool:
    """Whether the last window of a pooling that rounds up starts before the input's end.

    ONNX Runtime's shape inference and its kernels differ where it does not.
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
        normal(1, 2, 6, 7),
        kernel_shape=[kernel, 2],
        strides=[stride, 1],
        pads=[pad, 0, pad, 0],
        ceil_mode=int(ceil and not include),
        count_include_pad=int(include),
    )


def test_average_pooling_that_pads_by_itself() -> None:
    assert_rule(
        "AveragePool",
        normal(2, 3, 7, 7),
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
        distinct(2, 2, 6, 7, seed=seed),
        kernel_shape=[kernel, 2],
        strides=[stride, 1],
        pads=[pad, 0, pad, 0],
        ceil_mode=int(ceil),
        grows=True,
    )


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("where", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("to", [(7, 3), (4, 10)])
def test_resize_to_sizes(mode: str, where: str, to: tuple[int, int]) -> None:
    constants = {3: ints(1, 2, *to)}
    assert_rule(
        "Resize",
        normal(1, 2, 4, 5),
        constants=constants,
        mode=mode,
        coordinate_transformation_mode=where,
        nearest_mode="floor",
    )


def test_resize_by_scales_with_a_growing_batch() -> None:
    scales = np.array([1, 1, 2, 1.5], np.float32)
    assert_rule("Resize", normal(2, 3, 4, 6), constants={2: scales}, mode="linear", grows=True)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_a_resize_that_keeps_proportions_is_refused(policy: str) -> None:
    """It enlarges by another scale than that of the sizes before and after."""
    slots = ["x", "", "", "sizes"]
    node = helper.make_node("Resize", slots, ["y"], keep_aspect_ratio_policy=policy, axes=[2, 3])
    with pytest.raises(GradientError, match=r"\(Resize\).*keep_aspect_ratio_policy.*add a rule"):
        Scored([node], {"x": normal(1, 1, 4, 5)}, {"sizes": ints(7, 7)}).gradients(np.float32)


def test_weights_that_depend_on_the_image_are_refused() -> None:
    nodes = [
        helper.make_node("Exp", ["x"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"], name="dynamic"),
    ]
    with pytest.raises(GradientError, match=r"'dynamic' \(Conv\).*weights depend on the image"):
        Scored(nodes, {"x": normal(1, 1, 3, 3)}, {}).gradients(np.float64)
