"""The check of gradients passes right ones and finds wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.gradient import SCORE, GradientRequest, check_gradient
from tests.helpers.gradient_networks import (
    DX,
    build_network_gradient,
    draw_images,
    make_network,
    run_gradient,
)
from tests.helpers.gradients import Array, draw_normal

REQUEST = GradientRequest("x", "y", kind="log-odds")


def test_right_gradient_passes_and_scaled_one_fails() -> None:
    gradient, rng = build_network_gradient(make_network(), REQUEST), np.random.default_rng(0)

    def right(x: Array) -> tuple[Array, Array]:
        outputs = run_gradient(gradient, x, [1] * len(x))
        return outputs[SCORE], outputs[DX]

    def wrong(x: Array) -> tuple[Array, Array]:
        scores, gradients = right(x)
        return scores, gradients * 1.2

    assert check_gradient(right, draw_images(1)[0], rng).passed
    assert not check_gradient(wrong, draw_images(1)[0], rng).passed


@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_gradient_with_missing_entries_fails(share: float) -> None:
    gradient, rng = build_network_gradient(make_network(), REQUEST), np.random.default_rng(0)
    kept = np.random.default_rng(5).random(draw_images(1).shape) < share

    def incomplete(x: Array) -> tuple[Array, Array]:
        outputs = run_gradient(gradient, x, [1] * len(x))
        return outputs[SCORE], outputs[DX] * kept

    assert not check_gradient(incomplete, draw_images(1)[0], rng).passed


def test_zero_gradient_of_a_constant_score_passes() -> None:
    def flat(x: Array) -> tuple[Array, Array]:
        rounding = 1e-7 * np.sign(x.sum(axis=1, dtype=np.float64))
        return 1 + rounding, np.zeros_like(x)

    assert check_gradient(flat, draw_normal(50).astype("f"), np.random.default_rng(0)).passed


def test_two_slopes_that_agree_by_chance_are_not_taken() -> None:
    """Below rounding the slope looks halved at two steps alike; above it is 1, within 1 %."""

    def rounded(x: Array) -> tuple[Array, Array]:
        t = x[:, 0].astype(np.float64)
        wavy = t * (1 + 0.01 * np.cos(5 * np.log(np.abs(t) + 1e-30)))
        return np.where(np.abs(t) < 2e-5, t / 2, wavy), np.ones_like(x)

    assert check_gradient(rounded, np.zeros(1, np.float32), np.random.default_rng(0)).passed
