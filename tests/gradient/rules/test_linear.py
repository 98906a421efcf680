"""Rules of matrix products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from onnxplain.gradient import GradientError
from tests.helpers.gradients import Scored, assert_rule, draw_normal

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
    assert_rule("MatMul", draw_normal(*a), draw_normal(*b, seed=1))


def test_matrix_product_with_a_constant_and_a_growing_batch() -> None:
    assert_rule("MatMul", draw_normal(2, 3, 4), constants={1: draw_normal(4, 5)}, grows=True)


@given(
    flip_a=st.booleans(),
    flip_b=st.booleans(),
    alpha=st.floats(0.5, 2),
    beta=st.floats(0.5, 2),
    bias=st.sampled_from([(4,), (2, 4), (2, 1), (1,), ()]),
)
@settings(max_examples=20, deadline=None)
def test_gemm(flip_a: bool, flip_b: bool, alpha: float, beta: float, bias: tuple[int, ...]) -> None:
    a, b = draw_normal(2, 3), draw_normal(3, 4, seed=1)
    a, b = a.T if flip_a else a, b.T if flip_b else b
    attributes = {"alpha": alpha, "beta": beta, "transA": int(flip_a), "transB": int(flip_b)}
    assert_rule("Gemm", a, b, draw_normal(*bias, seed=2), **attributes)


@pytest.mark.parametrize("equation", ["bij,bjk->bik", "bij,kj->bik", "ij,jk->ki", "bhd,hdo->bo"])
def test_einsum(equation: str) -> None:
    sizes = dict(zip("bijkhdo", (2, 3, 4, 5, 2, 3, 4), strict=True))
    left = equation.split("->")[0].split(",")
    operands = [draw_normal(*(sizes[c] for c in term), seed=k) for k, term in enumerate(left)]
    assert_rule("Einsum", *operands, equation=equation)


@pytest.mark.parametrize("equation", ["ii->i", "ij,k->j", "ij,jk"])
def test_einsum_in_forms_without_a_rule_is_refused(equation: str) -> None:
    terms = equation.split("->")[0].split(",")
    inputs = {f"x{k}": draw_normal(*(3 for _ in term)) for k, term in enumerate(terms)}
    node = helper.make_node("Einsum", list(inputs), ["y"], equation=equation)
    with pytest.raises(GradientError, match="its equation"):
        Scored([node], inputs, {}).compute_gradients(np.float64)


@pytest.mark.parametrize("batches", [(2, 1), (1, 2), (2, 2)])
def test_einsum_with_repeated_operands(batches: tuple[int, int]) -> None:
    a, b = batches
    x, z = draw_normal(a, 4, 5), draw_normal(b, 5, 3, seed=1)
    assert_rule("Einsum", x, z, equation="bij,bjk->bik")
    assert_rule("Einsum", x, constants={1: z}, equation="bij,bjk->bik", grows=a > 1 == b)


def test_einsum_that_sums_along_a_repeated_index_is_refused() -> None:
    node = helper.make_node("Einsum", ["x", "z"], ["y"], equation="ij,jk->ik")
    inputs = {"x": draw_normal(2, 3), "z": draw_normal(1, 4)}
    with pytest.raises(GradientError, match="repeats an index"):
        Scored([node], inputs, {}).compute_gradients(np.float64)
