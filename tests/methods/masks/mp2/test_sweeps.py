from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.data import Case
from onnxplain.methods import MP2
from onnxplain.methods.masks.mp2.growth import Growth
from onnxplain.methods.masks.mp2.probe import Probe
from onnxplain.methods.masks.mp2.sweeps import find_shortest_row, try_promising
from tests.helpers.mp2 import (
    IMAGE,
    SIZE,
    SWEEPS,
    draw_curved_weights,
    explain,
    find_cell_effects,
    linear_logits,
)
from tests.helpers.nets import CurvedGradients, Net, Picture, curved
from tests.reference import driver
from tests.reference import methods as reference

CASE = Case("photo", IMAGE, 1, n_classes=10)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.sampled_from(["lazy", "coarse"]))
def test_sweep_that_tries_every_cell_equals_full_cell_for_cell(seed, sweep):
    net = Net(curved(draw_curved_weights(seed)), SIZE)
    full, cheaper = (
        explain(net, MP2(grid=4, chance=0.3, n_tried=16, sweep=name)).values[0]
        for name in ("full", sweep)
    )
    assert full.order.tolist() == cheaper.order.tolist()


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000))
def test_propose_that_tries_all_cells_equals_full(seed):
    weights = draw_curved_weights(seed)
    net = Net(curved(weights), SIZE)
    full = explain(net, MP2(grid=4, chance=0.3, sweep="full")).values[0]
    method = MP2(grid=4, chance=0.3, gain="propose", n_tried=16)
    propose = explain(net, method, gradients=CurvedGradients(weights)).values[0]
    assert full.order.tolist() == propose.order.tolist()


def net_and_log_odds(seed):
    """Make a net of the curved score, and its log-odds of one image for the slow reference."""
    score = curved(draw_curved_weights(seed))

    def find_log_odds(image):
        other, target = score(image.astype(np.float32)[None])[0]
        return float(np.log(target / other))

    return Net(score, SIZE), find_log_odds


@settings(deadline=None, max_examples=10)
@given(
    st.integers(0, 1000),
    st.sampled_from(["lazy", "coarse"]),
    st.sampled_from([0.0, 0.5, 1.25, 4.0]),
    st.sampled_from([1, 3, 8]),
)
def test_sweep_removes_the_cells_of_the_slow_reference_at_its_cost(seed, sweep, caution, n_tried):
    net, find_log_odds = net_and_log_odds(seed)
    method = MP2(grid=6, chance=1e-6, sweep=sweep, caution=caution, n_tried=n_tried)
    outcome = explain(net, method)
    order, cost = reference.mp2_lazy_order(
        find_log_odds,
        IMAGE.astype(np.float64),
        np.zeros_like(IMAGE, np.float64),
        6,
        -np.inf,
        per_step=2,
        n_tried=max(n_tried, 2),
        caution=caution,
        coarse=sweep == "coarse",
    )
    assert outcome.values[0].order.tolist() == order
    assert outcome.evaluations == cost
    assert len(order) == 36


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000), st.sampled_from([0.0, 1.25]), st.integers(1, 3))
def test_lazy_equals_full_where_the_effects_of_cells_add_up(seed, caution, cells_per_step):
    weights = np.random.default_rng(seed).standard_normal((*SIZE, 3)).astype(np.float32) * 0.02
    net = Net(linear_logits(weights), SIZE, "logits")
    few = {"grid": 6, "cells_per_step": cells_per_step, "max_area": 0.5, "chance": 1e-6}
    full, lazy = (
        explain(net, MP2(sweep=sweep, caution=caution, n_tried=3, **few))
        for sweep in ("full", "lazy")
    )
    assert lazy.values[0].order.tolist() == full.values[0].order.tolist()
    assert lazy.evaluations < full.evaluations


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000), st.sampled_from([0.0, 1.25, 100.0]))
def test_lazy_never_evaluates_more_than_full_in_as_many_steps(seed, caution):
    net, _ = net_and_log_odds(seed)
    method = MP2(grid=6, chance=1e-6, max_area=0.5, sweep="lazy", caution=caution)
    assert explain(net, method).evaluations <= method.evaluations(SIZE)
    assert method.evaluations(SIZE) == replace(method, sweep="full").evaluations(SIZE)


def test_cheaper_sweeps_evaluate_less_than_full_and_stay_within_the_bound():
    net = Net(curved(draw_curved_weights(5)), SIZE)
    evaluations = {}
    for sweep in SWEEPS:
        # Many steps: a run that reaches chance at once is as cheap as any.
        method = MP2(grid=12, chance=1e-6, max_area=0.3, sweep=sweep, n_tried=8)
        evaluations[sweep] = explain(net, method).evaluations
        assert evaluations[sweep] <= method.evaluations(SIZE)
    cheaper = [evaluations[sweep] for sweep in SWEEPS if sweep != "full"]
    assert max(cheaper) < evaluations["full"] / 2


def make_linear_probe(weights, grid):
    """Make a probe that has measured the image, and a function that runs its flows."""
    net = Net(linear_logits(weights), SIZE, "logits")
    probe = Probe(Growth(IMAGE, grid))

    def ask(flow):
        return driver.run(net, CASE, flow, Picture(0.0))

    ask(probe.measure())
    return probe, ask


def test_lazy_tries_what_promises_most_until_the_best_are_up_to_date():
    weights = np.random.default_rng(6).random((*SIZE, 3)).astype(np.float32)
    probe, ask = make_linear_probe(weights, 4)
    growth, effects = probe.growth, find_cell_effects(weights, 4)
    false_hope = np.argsort(effects)[:2]  # the two worst cells are remembered as the best
    remembered = effects.copy()
    remembered[false_hope] = 2 * effects.max()
    growth.record_gains(range(16), remembered)
    growth.start_step()
    ask(try_promising(probe, 2, n_tried=2, caution=0))
    # 2 false cells, then 2 true ones, which are the best.
    best = np.argsort(-effects, kind="stable")
    assert set(growth.rank_up_to_date()) == {*false_hope.tolist(), *best[:2].tolist()}
    assert growth.rank_cells()[:2] == best[:2].tolist()


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_coarse_equals_full_at_less_cost_where_cells_of_a_set_are_alike(seed, cells_per_step):
    part = np.random.default_rng(seed).standard_normal((12, 12, 3)) * 0.02
    weights = (np.tile(part, (2, 2, 1)) / IMAGE.clip(0.1)).astype(np.float32)
    case = replace(CASE, image=IMAGE.clip(0.1))
    net = Net(linear_logits(weights), SIZE, "logits")
    few = {"grid": 6, "cells_per_step": cells_per_step, "max_area": 0.5, "chance": 1e-6}
    full, coarse = (
        explain(net, MP2(sweep=sweep, **few), case=case) for sweep in ("full", "coarse")
    )
    # The cells of a set may come in any order, as their gains are equal.
    gains = [outcome.values[0].details["gains"] for outcome in (coarse, full)]
    np.testing.assert_allclose(*gains, atol=1e-3)
    assert coarse.evaluations < full.evaluations


@pytest.mark.parametrize("cells_per_step", [1, 2, 3])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.8, 1.5])
def test_shortest_row_is_the_first_whole_number_of_steps_that_reaches_chance(cells_per_step, share):
    weights = np.random.default_rng(8).random((*SIZE, 3)).astype(np.float32) * 0.02
    probe, ask = make_linear_probe(weights, 6)
    effects = find_cell_effects(weights, 6)
    ranking = np.argsort(-effects, kind="stable").tolist()
    log_odds = effects.sum() - np.cumsum(effects[ranking])
    target = effects.sum() * (1 - share)
    n_cells = ask(find_shortest_row(probe, ranking, 1 / (1 + np.exp(-target)), cells_per_step))
    rows = range(cells_per_step, 36, cells_per_step)
    assert n_cells == next((n for n in rows if log_odds[n - 1] <= target), 36)
