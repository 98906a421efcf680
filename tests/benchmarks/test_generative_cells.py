"""The trial of MP2-G's cells, on nets and boxes whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.generative_cells import (
    GRID,
    LOOKS,
    N_BEST,
    compare_gains,
    look_closely,
    measure_boxes,
    measure_inside,
    score_masks,
)
from onnxplain.core.data import Box, Case
from tests.helpers.mp2 import LinearGradients, linear_logits, sum_cells
from tests.helpers.nets import Net, Picture
from tests.reference import driver

SIZE = (2 * GRID, 2 * GRID)
RNG = np.random.default_rng(3)
IMAGE = RNG.random((*SIZE, 3), np.float32)
WEIGHTS = (RNG.standard_normal((*SIZE, 3)) * 0.05).astype(np.float32)
EFFECTS = sum_cells((WEIGHTS * IMAGE).sum(axis=-1), GRID)
CASE = Case("photo", IMAGE, 1)


def ask(flow):
    net = Net(linear_logits(WEIGHTS), SIZE, "logits")
    return driver.run(net, CASE, flow, Picture(0.0), gradients=LinearGradients(WEIGHTS))


def test_all_ways_agree_on_an_additive_net():
    order = [int(cell) for cell in RNG.permutation(GRID**2)[:100]]
    looks = ask(look_closely(CASE, order))
    assert [look["removed"] for look in looks] == list(LOOKS)
    for n_removed, look in zip(LOOKS, looks, strict=True):
        for kind in ("ranks of drawn", "ranks of best"):
            assert list(look[kind].values()) == pytest.approx([1, 1, 1], abs=1e-3)
        left = np.sort(np.delete(EFFECTS, order[:n_removed]))[::-1]
        assert list(look["chosen"].values()) == pytest.approx([left[:2].mean()] * 3, rel=1e-3)
        assert look["best"] == pytest.approx(left[:N_BEST].mean(), rel=1e-3)


def test_a_way_that_ranks_the_other_way_round_chooses_the_worst():
    exact = np.arange(80.0)
    look = compare_gains({"gradient": -exact, "difference": exact, "exact": exact}, exact)
    assert look["ranks of drawn"] == pytest.approx(
        {"gradient, difference": -1, "difference, exact": 1, "gradient, exact": -1}
    )
    assert look["chosen"] == {"gradient": 0.5, "difference": 78.5, "exact": 78.5}
    assert look["with change"]["gradient"] == pytest.approx(-1)


def test_masks_are_scored_with_all_their_cells_removed():
    probabilities = ask(score_masks(CASE, [[], [0, 5], range(GRID**2)]))
    left = np.array([EFFECTS.sum(), EFFECTS.sum() - EFFECTS[[0, 5]].sum(), 0])
    assert probabilities == pytest.approx(1 / (1 + np.exp(-left)), rel=1e-4)


def test_the_share_of_cells_inside_a_box_counts_half_cells():
    boxes = measure_boxes(replace(CASE, boxes=(Box(0, 0, 2, 3),)))
    np.testing.assert_array_equal(boxes[:3], [1, 0.5, 0])
    assert boxes.sum() == 1.5
    inside = measure_inside(boxes, [0, 2], [0, 1])
    assert inside == {"MP2": 0.5, "MP2-G": 0.75, "both": 1, "MP2 only": 0, "MP2-G only": 0.5}
