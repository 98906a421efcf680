import contextlib
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.data import Case, make_rng
from onnxplain.core.flow import FillQuery, Reply
from onnxplain.core.scores import compute_target_scores
from onnxplain.engine.run import make_jobs, run
from onnxplain.fills import Blur
from onnxplain.methods import MP2
from onnxplain.methods.masks.mp2.growth import Growth, _probability
from tests.helpers.nets import CurvedGradients, Net, Picture, curved
from tests.reference import driver

RNG = np.random.default_rng(4)
SIZE = (24, 24)
IMAGE = RNG.random((*SIZE, 3), np.float32)
SWEEPS = ["full", "lazy", "coarse", "static"]


def explain(net, method, fill=None, gradients=None, case=None):
    case = case or Case("photo", IMAGE, 1, n_classes=10)
    jobs = make_jobs(method, [case], fill or Picture(0.0), 0)
    (outcome,) = run(net, jobs, gradients=gradients)
    if outcome.error:
        raise outcome.error
    return outcome


def linear_logits(weights, bias=0.0):
    """Log-odds of class 1 are the weighted sum of the pixels."""

    def function(images):
        logit = np.einsum("nhwc,hwc->n", images.astype(np.float64), weights) + bias
        return np.stack([np.zeros_like(logit), logit], axis=1)

    return function


def cell_effects(weights, grid):
    side = SIZE[0] // grid
    effect = (weights * IMAGE).sum(axis=-1)
    return effect.reshape(grid, side, grid, side).sum(axis=(1, 3)).ravel()


@pytest.mark.parametrize("sweep", ["full", "lazy", "static"])
def test_mp2_on_a_linear_net_removes_cells_by_falling_effect_until_chance(sweep):
    weights = RNG.random((*SIZE, 3)).astype(np.float32) * 0.02
    net = Net(linear_logits(weights, -5.0), SIZE, "logits")
    result = explain(net, MP2(grid=6, sweep=sweep, audit=100)).values[0]
    effects = cell_effects(weights, 6)
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

    def function(images):
        sums = np.einsum("nhwc,khwc->nk", images.astype(np.float64), weights)
        odds = sums.max(axis=1) - 4
        return np.stack([np.zeros_like(odds), odds], axis=1)

    result = explain(Net(function, SIZE, "logits"), MP2(grid=6, sweep="full")).values[0]
    left = np.array([cell_effects(one, 6) for one in weights])  # of a removed cell: 0
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
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    method = MP2(grid=grid, cells_per_step=cells_per_step, sweep="full", chance=0.3, max_area=0.8)
    outcome = explain(Net(curved(weights), SIZE), method)
    taken = [cells for cells, _ in outcome.values[0].details["trajectory"][:-1]]
    tries = sum(grid**2 - cells for cells in taken)
    assert outcome.evaluations == tries + len(taken) + 1


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


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.sampled_from(["lazy", "coarse"]))
def test_a_sweep_that_tries_every_cell_equals_full_cell_for_cell(seed, sweep):
    weights = (np.random.default_rng(seed).standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    net = Net(curved(weights), SIZE)
    full, other = (
        explain(net, MP2(grid=4, chance=0.3, n_tried=16, sweep=one)).values[0]
        for one in ("full", sweep)
    )
    assert full.order.tolist() == other.order.tolist()


def test_lazy_tells_how_often_an_audit_would_have_chosen_others():
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    net = Net(curved(weights), SIZE)
    careless, thorough = (
        explain(
            net, MP2(grid=8, chance=1e-6, max_area=0.5, sweep="lazy", audit=4, n_tried=n)
        ).values[0]
        for n in (2, 64)
    )
    for result in (careless, thorough):
        assert [step for step, _ in result.details["audits"]] == [4, 8, 12]
        missed = [share for _, share in result.details["audits"]]
        assert set(missed) <= {0.0, 0.5, 1.0}
        assert result.details["disagreement"] == np.mean(missed)
    assert careless.details["disagreement"] > 0
    assert thorough.details["disagreement"] == 0


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
    truth = (weights * image).sum(axis=-1).reshape(grid, 3, grid, 3).sum(axis=(1, 3)).ravel()
    truth[growth.removed] = 0
    case, net = Case("photo", image, 1), Net(linear_logits(weights), size, "logits")
    driver.run(net, case, growth.measure(), Picture(0.0))
    errors = [np.inf]
    for shift in range(4):
        driver.run(net, case, growth.try_blocks(shift), Picture(0.0))
        row, column = np.divmod(np.arange(grid**2), grid)
        key = (row + shift // 2) // 2 * grid + (column + shift % 2) // 2
        for one in np.unique(key[~growth.removed]):
            block = (key == one) & ~growth.removed
            assert growth.gains[block].sum() == pytest.approx(truth[block].sum(), abs=1e-3)
        errors.append(np.linalg.norm((growth.gains - truth)[~growth.removed]))
    assert (np.diff(errors) <= 1e-3).all()


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
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
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


def test_the_cheaper_sweeps_ask_less_than_full_and_stay_within_the_bound():
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    asked = {}
    for sweep in SWEEPS:
        # Many steps: one that reaches chance at once is as cheap as any.
        method = MP2(grid=12, chance=1e-6, max_area=0.3, sweep=sweep, n_tried=8)
        asked[sweep] = explain(Net(curved(weights), SIZE), method).evaluations
        assert asked[sweep] <= method.evaluations(SIZE)
    assert max(asked["lazy"], asked["coarse"], asked["static"]) < asked["full"] / 2


def test_the_order_map_falls_step_by_step():
    weights = RNG.random((*SIZE, 3)).astype(np.float32) * 0.02
    net = Net(linear_logits(weights, -5.0), SIZE, "logits")
    result = explain(net, MP2(grid=6, sweep="full")).values[0]
    along = result.coarse.ravel()[result.order]
    assert along[0] == 1
    assert (np.diff(along) <= 0).all()
    assert along[-1] > 0


@dataclass(frozen=True)
class LinearGradients:
    weights: object

    def score_grads(self, images, targets, kind):
        assert kind == "log-odds"
        raw = linear_logits(self.weights, -5.0)(images).astype(np.float32)
        return raw, np.broadcast_to(self.weights, images.shape)


@pytest.mark.parametrize("gain", ["gradient", "propose"])
def test_gradient_and_difference_agree_on_a_linear_net(gain):
    weights = RNG.random((*SIZE, 3)).astype(np.float32) * 0.02
    net = Net(linear_logits(weights, -5.0), SIZE, "logits")
    by_difference = explain(net, MP2(grid=6, sweep="full")).values[0]
    method = MP2(grid=6, gain=gain, n_tried=16)
    outcome = explain(net, method, gradients=LinearGradients(weights))
    found = outcome.values[0]
    assert found.order.tolist() == by_difference.order.tolist()
    assert found.details["gain"] == gain
    np.testing.assert_allclose(found.details["gains"], by_difference.details["gains"], rtol=1e-3)
    left = range(36, 36 - len(found.order), -2)
    tried = sum(min(method.n_tried, cells) for cells in left) if gain == "propose" else 0
    halves = len(left) if gain == "propose" else 0  # gradients half way
    assert outcome.evaluations == 1 + len(left) + halves + tried


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000))
def test_propose_of_all_cells_equals_full(seed):
    weights = (np.random.default_rng(seed).standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    net = Net(curved(weights), SIZE)
    full = explain(net, MP2(grid=4, chance=0.3, sweep="full")).values[0]
    method = MP2(grid=4, chance=0.3, gain="propose", n_tried=16)
    propose = explain(net, method, gradients=CurvedGradients(weights)).values[0]
    assert full.order.tolist() == propose.order.tolist()


@dataclass(frozen=True)
class NeighbourFill:
    """A composited fill: a hole takes the pixels 8 columns on, unless they are in it too."""

    asked: list = field(default_factory=list, compare=False)

    def prepare(self, image, rng):
        other = np.roll(image, 8, axis=1)

        def fill(masks):
            self.asked.append(len(masks))
            blocked = np.roll(masks, 8, axis=2)[..., None]
            inside = np.where(blocked > 0, 0.5, other)
            return np.where(masks[..., None] > 0, inside, image)

        return fill


def test_a_lattice_of_one_cell_a_fill_equals_the_exact_look_ahead_of_the_first_step():
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    first = [
        explain(
            Net(curved(weights), SIZE),
            MP2(grid=6, sweep="full", max_area=2 / 36, look_ahead=look_ahead, lattice=6),
            NeighbourFill(),
        ).values[0]
        for look_ahead in ("exact", "lattice", "static")
    ]
    for other in first[1:]:
        assert first[0].order.tolist() == other.order.tolist()
        np.testing.assert_allclose(first[0].details["gains"], other.details["gains"], rtol=1e-4)


@pytest.mark.parametrize(
    ("gain", "look_ahead", "first", "later"),
    [
        *(
            (gain, *case)
            for gain in ("difference", "gradient")
            for case in [("lattice", 17, 17), ("static", 17, 1), ("blur", 1, 1)]
        ),
        ("difference", "exact", None, None),
    ],
)
def test_fills_of_a_step(gain, look_ahead, first, later):
    """A lattice of 4 needs 17 a step: that of the mask as it is, and 16 looked ahead."""
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    fill, steps, cells = NeighbourFill(), 3, 12**2
    method = MP2(
        grid=12, gain=gain, sweep="full", max_area=6 / 144, chance=1e-6, look_ahead=look_ahead
    )
    outcome = explain(Net(curved(weights), SIZE), method, fill, gradients=CurvedGradients(weights))
    assert len(outcome.values[0].order) == 2 * steps
    if look_ahead == "exact":  # a fill for every mask that is scored
        assert sum(fill.asked) == outcome.evaluations == sum((cells, cells - 2, cells - 4)) + 4
    else:
        # and one for the last stop test
        assert sum(fill.asked) == first + later * (steps - 1) + 1


@pytest.mark.parametrize("gain", ["difference", "propose", "gradient"])
def test_ranked_by_blur_the_order_is_that_of_mp2_with_a_blur_and_the_stop_the_fills(gain):
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    net, gradients = Net(curved(weights), SIZE), CurvedGradients(weights)
    options = {"grid": 6, "gain": gain, "sweep": "full", "max_area": 10 / 36, "chance": 1e-6}
    by_blur = explain(net, MP2(**options), Blur(sigma=2), gradients).values[0]
    fill = NeighbourFill()
    method = MP2(**options, look_ahead="blur", blur_sigma=2)
    ranked = explain(net, method, fill, gradients)
    assert ranked.values[0].order.tolist() == by_blur.order.tolist()
    np.testing.assert_allclose(
        ranked.values[0].details["gains"], by_blur.details["gains"], rtol=1e-3, atol=1e-5
    )
    mask = (ranked.values[0].coarse > 0).repeat(4, 0).repeat(4, 1)[None].astype(np.float32)
    composed = fill.prepare(IMAGE, None)(mask)
    probability = net.scores(composed)[0, 1]
    assert ranked.values[0].details["trajectory"][-1][1] == pytest.approx(probability, rel=1e-5)
    assert ranked.evaluations == method.evaluations(SIZE)


@pytest.mark.parametrize("selection", ["signed", "absolute"])
def test_by_absolute_gradient_cells_that_raise_the_score_are_taken_too(selection):
    weights = RNG.standard_normal((*SIZE, 3)).astype(np.float32) * 0.02

    class Linear:
        def score_grads(self, images, targets, kind):
            return linear_logits(weights)(images), np.repeat(weights[None], len(images), 0)

    method = MP2(grid=6, gain="gradient", selection=selection, chance=1e-9)
    found = explain(Net(linear_logits(weights), SIZE, "logits"), method, gradients=Linear())
    effects = cell_effects(weights, 6)
    effects = np.abs(effects) if selection == "absolute" else effects
    assert found.values[0].order.tolist() == np.argsort(-effects, kind="stable").tolist()


def test_the_limit_of_area_is_not_lost_to_rounding():
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    method = MP2(grid=10, sweep="static", max_area=0.29, chance=1e-9)
    assert len(explain(Net(curved(weights), SIZE), method).values[0].order) == 29


def test_the_gradient_with_a_compositing_fill_needs_a_look_ahead():
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    gradients = CurvedGradients(weights)

    def gains(look_ahead):
        method = MP2(grid=6, gain="gradient", max_area=2 / 36, chance=1e-6, look_ahead=look_ahead)
        outcome = explain(Net(curved(weights), SIZE), method, NeighbourFill(), gradients)
        return outcome.values[0].details["gains"]

    assert np.abs(gains("lattice")).min() > 0
    with pytest.raises(ValueError, match="look_ahead='exact'"):
        gains("exact")


@pytest.mark.parametrize("n_classes", [3, 10, 100, 365, 1000])
def test_a_classifier_that_is_at_chance_level_stops_at_once(n_classes):
    def even(images):
        return np.zeros((len(images), n_classes), np.float32)

    case = Case("photo", IMAGE, 1, n_classes=n_classes)
    for net in (
        Net(even, SIZE, "logits"),
        Net(lambda images: even(images) + np.float32(1 / n_classes), SIZE),
    ):
        details = explain(net, MP2(grid=6), case=case).values[0].details
        assert (details["reason"], details["area"]) == ("chance", 0)


def test_log_odds_of_any_size_are_probabilities():
    assert [_probability(x) for x in (-5000.0, 0.0, 5000.0)] == [0.0, 0.5, 1.0]
    assert _probability(-30.0) == pytest.approx(np.exp(-30) / (1 + np.exp(-30)), rel=1e-12)


def test_an_area_of_less_than_a_cell_is_refused():
    with pytest.raises(ValueError, match="less than one of the 64 cells"):
        MP2(grid=8, max_area=0.01)


def test_a_fill_that_is_one_picture_is_looked_ahead_once():
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    method = MP2(grid=12, gain="gradient", chance=1e-6, max_area=6 / 144)
    case = Case("photo", IMAGE, 1, n_classes=10)
    flow, asked, reply = method.flow(case, make_rng(0)), [], None
    net, gradients = Net(curved(weights), SIZE), CurvedGradients(weights)
    with contextlib.suppress(StopIteration):
        while True:
            query = flow.send(reply)
            if isinstance(query, FillQuery):
                asked.append(len(query))
                reply = Reply(np.empty(0), images=np.zeros((len(query), *SIZE, 3), np.float32))
            else:
                raw, grads = gradients.score_grads(query.images, np.ones(1, int), query.kind)
                scores = compute_target_scores(raw, 1, outputs=net.outputs, kind=query.kind)
                reply = Reply(scores, grads=grads)
    assert asked == [1, 4**2]


def test_with_a_fill_that_is_one_picture_looking_ahead_changes_nothing():
    weights = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
    orders = [
        explain(Net(curved(weights), SIZE), MP2(grid=6, chance=0.3, look_ahead=look_ahead))
        .values[0]
        .order.tolist()
        for look_ahead in ("exact", "lattice", "static")
    ]
    assert orders[0] == orders[1] == orders[2]
