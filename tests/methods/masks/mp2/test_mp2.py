import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.data import Case, make_rng
from onnxplain.engine.run import make_jobs, run
from onnxplain.methods import MP2
from tests.helpers import mask_methods
from tests.helpers.mp2 import (
    IMAGE,
    SIZE,
    SWEEPS,
    LinearGradients,
    draw_curved_weights,
    explain,
    find_cell_effects,
    linear_logits,
)
from tests.helpers.nets import CurvedGradients, Net, Picture, curved
from tests.reference import driver

RNG = np.random.default_rng(4)


@pytest.mark.framework
def test_mp2_takes_the_same_cells_as_autograd_for_20_steps():
    pytest.importorskip("torch")
    from tests.reference import torch_methods as reference

    order, gains = reference.mp2(
        reference.tensor(mask_methods.IMAGE),
        reference.tensor(np.full_like(mask_methods.IMAGE, 0.5)),
        reference.tensor(mask_methods.WEIGHTS),
        steps=20,
        grid=8,
    )
    method = MP2(grid=8, gain="gradient", chance=1e-9, max_area=40 / 64)
    result = mask_methods.explain(method).values[0]
    assert result.order.tolist() == order
    np.testing.assert_allclose(result.details["gains"], gains, atol=1e-5)


@pytest.mark.parametrize("sweep", ["full", "lazy", "static"])
def test_mp2_on_a_linear_net_removes_cells_by_falling_effect_until_chance(sweep):
    weights = RNG.random((*SIZE, 3)).astype(np.float32) * 0.02
    net = Net(linear_logits(weights, -5.0), SIZE, "logits")
    result = explain(net, MP2(grid=6, sweep=sweep)).values[0]
    effects = find_cell_effects(weights, 6)
    expected = np.argsort(-effects, kind="stable")
    log_odds = effects.sum() - 5.0 - np.cumsum(effects[expected])
    enough = next(n for n in range(2, 37, 2) if 1 / (1 + np.exp(-log_odds[n - 1])) <= 0.1)
    assert result.order.tolist() == expected[:enough].tolist()
    assert result.details["reason"] == "chance"
    assert result.details["trajectory"][-1][0] == enough
    np.testing.assert_allclose(result.details["gains"], effects[expected[:enough]], rtol=1e-3)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000))
def test_full_on_the_larger_of_two_regions_is_the_greedy_order_of_sums(seed):
    """Log-odds are the larger of two regions' sums: a cell gains what the maximum loses."""
    weights = np.zeros((2, *SIZE, 3), np.float32)
    weights[0, :, :12], weights[1, :, 12:] = np.random.default_rng(seed).random((2, 24, 12, 3)) / 30

    def score_regions(images):
        sums = np.einsum("nhwc,khwc->nk", images.astype(np.float64), weights)
        odds = sums.max(axis=1) - 4
        return np.stack([np.zeros_like(odds), odds], axis=1)

    result = explain(Net(score_regions, SIZE, "logits"), MP2(grid=6, sweep="full")).values[0]
    # The effect of each cell on each sum; 0 once the cell is removed.
    left = np.array([find_cell_effects(region, 6) for region in weights])
    order = []
    while left.sum(axis=1).max() - 4 > np.log(0.1 / 0.9) and len(order) < 36:
        before = left.sum(axis=1).max()
        gains = np.full(36, -np.inf)
        for cell in set(range(36)) - set(order):
            without = left.copy()
            without[:, cell] = 0
            gains[cell] = before - without.sum(axis=1).max()
        chosen = np.argsort(-gains.round(9), kind="stable")[:2].tolist()
        np.testing.assert_allclose(
            result.details["gains"][len(order) : len(order) + 2], gains[chosen], atol=1e-4
        )
        order += chosen
        left[:, chosen] = 0
    assert result.order.tolist() == order


@pytest.mark.parametrize("grid", [4, 6])
@pytest.mark.parametrize("cells_per_step", [1, 2, 5])
def test_full_asks_exactly_the_evaluations_of_its_formula(grid, cells_per_step):
    weights = draw_curved_weights(1)
    method = MP2(grid=grid, cells_per_step=cells_per_step, sweep="full", chance=0.3, max_area=0.8)
    outcome = explain(Net(curved(weights), SIZE), method)
    removed = [cells for cells, _ in outcome.values[0].details["trajectory"][:-1]]
    tries = sum(grid**2 - cells for cells in removed)
    assert outcome.evaluations == tries + len(removed) + 1


def test_full_on_the_papers_grid_asks_786_t_minus_t_squared_plus_1():
    weights = np.full((28, 28, 3), 0.01, np.float32)
    net = Net(linear_logits(weights), (28, 28), "logits", batch_size=256)
    image = RNG.random((28, 28, 3), np.float32)
    case = Case("photo", image, 1, n_classes=1000)
    method = MP2(sweep="full", max_area=10 / 784)
    (outcome,) = run(net, make_jobs(method, [case], Picture(0.0), 0))
    steps = 5
    assert len(outcome.values[0].order) == 2 * steps
    assert outcome.evaluations == 786 * steps - steps**2 + 1


@pytest.mark.parametrize("sweep", SWEEPS)
def test_mp2_stays_inside_the_one_region_that_the_score_depends_on(sweep):
    weights = np.zeros((*SIZE, 3), np.float32)
    weights[8:16, 4:12] = 1.0  # cells (2..3, 1..2) of a 6 x 6 grid
    net = Net(linear_logits(weights, -5.0), SIZE, "logits")
    result = explain(net, MP2(grid=6, sweep=sweep)).values[0]
    inside = np.zeros((6, 6), bool)
    inside[2:4, 1:3] = True
    assert result.details["reason"] == "chance"
    assert not (result.coarse > 0)[~inside].any()
    assert result.heatmap.shape == SIZE


@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_score_that_never_falls_ends_exhausted_and_is_no_error(sweep):
    net = Net(lambda x: np.tile([[0.1, 0.9]], (len(x), 1)), SIZE)
    result = explain(net, MP2(grid=4, sweep=sweep, max_area=0.5)).values[0]
    assert result.details["reason"] == "exhausted"
    assert result.details["area"] == 0.5
    assert (result.coarse > 0).sum() == 8


@pytest.mark.parametrize(("grid", "max_area"), [(5, 1.0), (6, 0.2)])  # 25 and 7 cells
@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_limit_that_is_no_multiple_of_a_step_is_reached(sweep, grid, max_area):
    weights = np.full((*SIZE, 3), 0.01, np.float32)
    net = Net(linear_logits(weights), SIZE, "logits")
    method = MP2(grid=grid, sweep=sweep, max_area=max_area, chance=1e-3)
    outcome = explain(net, method)
    result = outcome.values[0]
    assert len(result.order) == int(max_area * grid**2)
    assert result.details["reason"] == "exhausted"
    if sweep == "full":
        assert outcome.evaluations == method.evaluations(SIZE)


@pytest.mark.parametrize("gain", ["propose", "gradient"])
def test_evaluations_of_a_run_by_gradients_are_known_exactly(gain):
    weights = draw_curved_weights(2)
    method = MP2(grid=6, gain=gain, max_area=0.7, chance=1e-6, n_tried=12)  # 25 cells
    outcome = explain(Net(curved(weights), SIZE), method, gradients=CurvedGradients(weights))
    assert outcome.evaluations == method.evaluations(SIZE)


def test_a_score_at_chance_from_the_start_removes_nothing():
    net = Net(lambda x: np.tile([[0.95, 0.05]], (len(x), 1)), SIZE)
    for sweep in SWEEPS:
        outcome = explain(net, MP2(grid=4, sweep=sweep))
        assert outcome.values[0].details["reason"] == "chance"
        assert outcome.values[0].heatmap.max() == 0
        assert outcome.evaluations == 1


def test_the_order_map_falls_step_by_step():
    weights = RNG.random((*SIZE, 3)).astype(np.float32) * 0.02
    net = Net(linear_logits(weights, -5.0), SIZE, "logits")
    result = explain(net, MP2(grid=6, sweep="full")).values[0]
    along = result.coarse.ravel()[result.order]
    assert along[0] == 1
    assert (np.diff(along) <= 0).all()
    assert along[-1] > 0


@pytest.mark.parametrize("gain", ["gradient", "propose"])
def test_gradient_and_difference_agree_on_a_linear_net(gain):
    weights = RNG.random((*SIZE, 3)).astype(np.float32) * 0.02
    net = Net(linear_logits(weights, -5.0), SIZE, "logits")
    by_difference = explain(net, MP2(grid=6, sweep="full")).values[0]
    method = MP2(grid=6, gain=gain, n_tried=16)
    outcome = explain(net, method, gradients=LinearGradients(weights, -5.0))
    by_gradient = outcome.values[0]
    assert by_gradient.order.tolist() == by_difference.order.tolist()
    assert by_gradient.details["gain"] == gain
    np.testing.assert_allclose(
        by_gradient.details["gains"], by_difference.details["gains"], rtol=1e-3
    )
    left = range(36, 36 - len(by_gradient.order), -2)
    tried = sum(min(method.n_tried, cells) for cells in left) if gain == "propose" else 0
    half_way = len(left) if gain == "propose" else 0  # gradients half way
    assert outcome.evaluations == 1 + len(left) + half_way + tried


@pytest.mark.parametrize("selection", ["signed", "absolute"])
def test_by_absolute_gradient_cells_that_raise_the_score_are_taken_too(selection):
    weights = RNG.standard_normal((*SIZE, 3)).astype(np.float32) * 0.02
    net = Net(linear_logits(weights), SIZE, "logits")
    method = MP2(grid=6, gain="gradient", selection=selection, chance=1e-9)
    result = explain(net, method, gradients=LinearGradients(weights)).values[0]
    effects = find_cell_effects(weights, 6)
    effects = np.abs(effects) if selection == "absolute" else effects
    assert result.order.tolist() == np.argsort(-effects, kind="stable").tolist()


def test_the_limit_of_area_is_not_lost_to_rounding():
    net = Net(curved(draw_curved_weights(3)), SIZE)
    method = MP2(grid=10, sweep="static", max_area=0.29, chance=1e-9)
    assert len(explain(net, method).values[0].order) == 29


@settings(deadline=None, max_examples=20)
@given(
    gain=st.sampled_from(["difference", "gradient"]),
    grid=st.integers(2, 6),
    seed=st.integers(0, 99),
)
def test_masks_that_mp2_asks_about_are_0_or_1(gain, grid, seed):
    image, weights = mask_methods.IMAGE, mask_methods.WEIGHTS
    case, seen = Case("photo", image, 1, n_classes=2), []
    method = MP2(gain=gain, grid=grid, chance=0.2)
    flow = mask_methods.record_masks(method.flow(case, make_rng(seed)), seen)
    net, gradients = Net(curved(weights), mask_methods.SIZE), CurvedGradients(weights)
    result = driver.run(net, case, flow, Picture(0.5), gradients=gradients)
    assert set(np.unique(np.concatenate(seen))) <= {0.0, 1.0}
    assert np.isfinite(result.heatmap).all()


@pytest.mark.parametrize("n_classes", [3, 10, 100, 365, 1000])
def test_a_classifier_that_is_at_chance_level_stops_at_once(n_classes):
    def score_evenly(images):
        return np.zeros((len(images), n_classes), np.float32)

    case = Case("photo", IMAGE, 1, n_classes=n_classes)
    for net in (
        Net(score_evenly, SIZE, "logits"),
        Net(lambda images: score_evenly(images) + np.float32(1 / n_classes), SIZE),
    ):
        details = explain(net, MP2(grid=6), case=case).values[0].details
        assert (details["reason"], details["area"]) == ("chance", 0)


def test_a_case_without_a_number_of_classes_needs_chance():
    net = Net(lambda x: np.tile([[0.95, 0.05]], (len(x), 1)), SIZE)
    case = Case("photo", IMAGE, 1)
    with pytest.raises(ValueError, match="mp2: the case has no number of classes; pass chance"):
        explain(net, MP2(grid=4), case=case)
    given_chance = dataclasses.replace(MP2(grid=4), chance=0.1)
    assert explain(net, given_chance, case=case).values[0].details["reason"] == "chance"


def test_an_area_of_less_than_a_cell_is_refused():
    with pytest.raises(ValueError, match="less than one of the 64 cells"):
        MP2(grid=8, max_area=0.01)
