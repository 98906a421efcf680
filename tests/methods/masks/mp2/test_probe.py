import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 9), st.integers(0, 100))
def test_blocks_correct_what_is_remembered_to_their_own_gains(grid, seed):
    """On an additive net the error of the remembered gains shrinks with every tiling."""
    rng = np.random.default_rng(seed)
    size = (3 * grid, 3 * grid)
    image = rng.random((*size, 3), np.float32)
    weights = rng.standard_normal((*size, 3)).astype(np.float32)
    growth = Growth(image, grid)
    growth.remove([int(cell) for cell in rng.permutation(grid**2)[: grid // 2]])
    truth = sum_cells((weights * image).sum(axis=-1), grid)
    truth[growth.removed] = 0
    case, net = Case("photo", image, 1), Net(linear_logits(weights), size, "logits")
    probe = Probe(growth)
    driver.run(net, case, probe.measure(), Picture(0.0))
    errors = [np.inf]
    for shift in range(4):
        driver.run(net, case, probe.try_blocks(shift), Picture(0.0))
        row, column = np.divmod(np.arange(grid**2), grid)
        numbers = (row + shift // 2) // 2 * grid + (column + shift % 2) // 2
        for number in np.unique(numbers[~growth.removed]):
            block = (numbers == number) & ~growth.removed
            assert growth.gains[block].sum() == pytest.approx(truth[block].sum(), abs=1e-3)
        errors.append(np.linalg.norm((growth.gains - truth)[~growth.removed]))
    assert (np.diff(errors) <= 1e-3).all()


def test_log_odds_of_any_size_are_probabilities():
    assert [to_probability(x) for x in (-5000.0, 0.0, 5000.0)] == [0.0, 0.5, 1.0]
    assert to_probability(-30.0) == pytest.approx(np.exp(-30) / (1 + np.exp(-30)), rel=1e-12)
