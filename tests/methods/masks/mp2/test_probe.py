import numpy as np
import pytest

from onnxplain.core.data import Case
from onnxplain.methods.masks.mp2.growth import Growth
from onnxplain.methods.masks.mp2.probe import Probe, to_probability
from tests.helpers.mp2 import (
    IMAGE,
    SIZE,
    LinearGradients,
    find_cell_effects,
    linear_logits,
    sum_cells,
)
from tests.helpers.nets import Net, Picture
from tests.reference import driver

WEIGHTS = np.random.default_rng(9).random((*SIZE, 3)).astype(np.float32) * 0.02
EFFECTS = find_cell_effects(WEIGHTS, 4)


def ask(flow):
    net, case = Net(linear_logits(WEIGHTS, -5.0), SIZE, "logits"), Case("photo", IMAGE, 1)
    return driver.run(net, case, flow, Picture(0.0), gradients=LinearGradients(WEIGHTS, -5.0))


def test_the_gain_of_a_tried_cell_is_its_effect_on_an_additive_net():
    probe = Probe(Growth(IMAGE, 4))
    probability = ask(probe.measure())
    assert probability == pytest.approx(1 / (1 + np.exp(5 - EFFECTS.sum())), rel=1e-5)
    ask(probe.try_cells([3, 9, 5]))
    np.testing.assert_allclose(probe.growth.gains[[3, 9, 5]], EFFECTS[[3, 9, 5]], rtol=1e-4)
    assert sorted(probe.growth.rank_tried()) == [3, 5, 9]
    assert probe.growth.trajectory == ((0, probability),)


def test_gains_estimated_from_the_slope_are_exact_on_an_additive_net():
    probe = Probe(Growth(IMAGE, 4))
    probe.growth.remove([2])
    probability, slope = ask(probe.differentiate())
    left = EFFECTS.sum() - EFFECTS[2]
    assert probability == pytest.approx(1 / (1 + np.exp(5 - left)), rel=1e-5)
    np.testing.assert_allclose(probe.estimate_gains(slope), EFFECTS, rtol=1e-5)
    np.testing.assert_array_equal(ask(probe.differentiate_half_way()), WEIGHTS)


def test_the_probability_without_cells_is_that_of_the_sum_that_is_left():
    probe = Probe(Growth(IMAGE, 4))
    probe.growth.remove([2])
    left = EFFECTS.sum() - EFFECTS[[2, 7, 8]].sum()
    probability = ask(probe.find_probability_without([7, 8]))
    assert probability == pytest.approx(1 / (1 + np.exp(5 - left)), rel=1e-5)
    assert probe.growth.trajectory == ()


@pytest.mark.parametrize("grid", [4, 6, 8])
def test_cells_of_a_set_share_its_gain_equally(grid):
    rng = np.random.default_rng(grid)
    weights = rng.standard_normal((*SIZE, 3)).astype(np.float32)
    growth = Growth(IMAGE, grid)
    probe = Probe(growth)
    net = Net(linear_logits(weights), SIZE, "logits")
    for flow in (probe.measure(), probe.try_quarters()):
        driver.run(net, Case("photo", IMAGE, 1), flow, Picture(0.0))
    effects = sum_cells((weights * IMAGE).sum(axis=-1), grid).reshape(grid, grid)
    half = grid // 2
    mean = effects.reshape(2, half, 2, half).mean(axis=(0, 2))
    np.testing.assert_allclose(growth.gains.reshape(grid, grid), np.tile(mean, (2, 2)), atol=1e-3)


def test_log_odds_of_any_size_are_probabilities():
    assert [to_probability(x) for x in (-5000.0, 0.0, 5000.0)] == [0.0, 0.5, 1.0]
    assert to_probability(-30.0) == pytest.approx(np.exp(-30) / (1 + np.exp(-30)), rel=1e-12)
