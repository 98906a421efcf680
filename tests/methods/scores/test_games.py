"""Banzhaf and KernelSHAP, which share their flow."""

from functools import cache

import numpy as np
import pytest
import scipy.stats
import skimage.data

from onnxplain.core.data import make_rng
from onnxplain.methods import Banzhaf, KernelSHAP
from onnxplain.methods.scores.coalitions import draw_hadamard_pairs, draw_shapley_pairs
from tests.helpers.games import make_additive_game, make_curved_game, play
from tests.helpers.nets import Net, Picture, additive, curved, explain_image
from tests.reference import methods as reference

RNG = np.random.default_rng(4)
IMAGE = RNG.random((12, 15, 3), np.float32)
SHAPE = IMAGE.shape[:2]
WEIGHTS = (RNG.standard_normal((*SHAPE, 3, 2)) * 0.1).astype(np.float32)
GAMES = [(Banzhaf, reference.banzhaf), (KernelSHAP, reference.shapley)]


def explain(method, image=IMAGE, function=None):
    net = Net(function or curved(WEIGHTS), image.shape[:2])
    outcome = explain_image(net, method, Picture(0.5), image)
    return outcome, outcome.values[0]


@cache
def score_set(kept: frozenset[int]) -> float:
    cells = np.array([i not in kept for i in range(9)], np.uint8).reshape(3, 3)
    composed = reference.compose(
        IMAGE, np.full_like(IMAGE, 0.5), reference.smooth_cells_mask(cells, SHAPE)
    )
    return float(curved(WEIGHTS)(composed[None])[0, 1])


@pytest.mark.parametrize(("cls", "value_of"), GAMES)
def test_all_sets_give_the_exact_values_of_the_definition(cls, value_of):
    outcome, attribution = explain(cls(grid=3, n_replicates=16))
    np.testing.assert_allclose(attribution.coarse.ravel(), value_of(score_set, 9), atol=1e-6)
    assert outcome.evaluations == 512
    assert attribution.details["half_width"] == 0
    assert attribution.meaning.noise == 0


@pytest.mark.parametrize(("cls", "value_of"), GAMES)
@pytest.mark.parametrize("interval", ["hc3", "replicates"])
def test_sampled_values_tend_to_the_definition_within_their_intervals(cls, value_of, interval):
    method = cls(grid=3, n_replicates=15, interval=interval)
    outcome, attribution = explain(method)
    expected = value_of(score_set, 9)
    assert outcome.evaluations == 15 * 32 + 2 * (cls is KernelSHAP) < 512
    off = np.abs(attribution.coarse.ravel() - expected)
    assert (off <= attribution.details["half_widths"]).all()
    assert 0 < attribution.details["relative_half_width"] < 0.3


@pytest.mark.parametrize("cls", [Banzhaf, KernelSHAP])
def test_players_that_do_not_interact_get_their_effects_at_once(cls):
    effects = RNG.standard_normal(49)
    attribution = play(cls(n_replicates=1), make_additive_game(effects, base=0.3))
    np.testing.assert_allclose(attribution.coarse.ravel(), effects, atol=1e-5)
    assert attribution.details["half_width"] < 1e-9
    assert attribution.details["more_evaluations"] == {}


def test_banzhaf_on_an_additive_net_gives_the_effect_of_each_smooth_cell():
    weights = RNG.standard_normal((*SHAPE, 3)).astype(np.float32) / 500
    attribution = explain(Banzhaf(grid=4), function=additive(weights, base=0.5))[1]
    effect = np.zeros(16)
    for i in range(16):
        cells = (np.arange(16) == i).astype(np.uint8).reshape(4, 4)
        share = reference.smooth_cells_mask(cells, SHAPE)
        effect[i] = ((weights * (IMAGE - 0.5)).sum(axis=-1) * share).sum()
    np.testing.assert_allclose(attribution.coarse.ravel(), effect, atol=5e-6)


def test_a_majority_has_the_known_values_of_a_symmetric_game():
    # Of nine equal players a majority wins: a player decides if four of the others are in.
    attribution = play(
        Banzhaf(grid=3, n_replicates=16), lambda kept: (kept.sum(1) >= 5).astype(float)
    )
    np.testing.assert_allclose(attribution.coarse, 70 / 256, atol=1e-6)  # C(8, 4) / 2^8
    attribution = play(
        KernelSHAP(grid=3, n_replicates=16), lambda kept: (kept.sum(1) >= 5).astype(float)
    )
    np.testing.assert_allclose(attribution.coarse, 1 / 9, atol=1e-6)


def test_a_dictator_and_a_veto_have_the_known_values():
    def game(kept):  # player 0 must be in, and one of players 1 and 2
        return (kept[:, 0] & (kept[:, 1] | kept[:, 2])).astype(float)

    banzhaf = play(Banzhaf(grid=3, n_replicates=16), game).coarse.ravel()
    np.testing.assert_allclose(banzhaf[:4], [3 / 4, 1 / 4, 1 / 4, 0], atol=1e-6)
    shapley = play(KernelSHAP(grid=3, n_replicates=16), game).coarse.ravel()
    np.testing.assert_allclose(shapley[:4], [2 / 3, 1 / 6, 1 / 6, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("cls", "draw"), [(Banzhaf, draw_hadamard_pairs), (KernelSHAP, draw_shapley_pairs)]
)
def test_sampled_values_and_errors_equal_the_plain_regression(cls, draw):
    game = make_curved_game(16)
    attribution = play(cls(grid=4, n_replicates=3), game)
    rng = make_rng(0)
    signs = np.concatenate([draw(rng, 16, 32) for _ in range(3)])
    first, second = game(signs > 0), game(signs < 0)
    if cls is KernelSHAP:  # a pair of all and none with an endless weight holds the total
        kept = (signs > 0).sum(axis=1)
        root = (1 / np.sqrt(kept * (16 - kept))) ** 0.5  # of the weight
        signs = np.concatenate([signs * root[:, None], np.full((1, 16), 1e5)])
        total = game(np.array([[True] * 16, [False] * 16]))
        first = np.append(first * root, total[0] * 1e5)
        second = np.append(second * root, total[1] * 1e5)
        halves = np.linalg.lstsq(signs, first - second, rcond=None)[0]
        np.testing.assert_allclose(attribution.coarse.ravel(), halves, atol=1e-5)
    else:
        values, errors = reference.folded_regression(signs, first, second)
        np.testing.assert_allclose(attribution.coarse.ravel(), values, atol=1e-6)
        widths = np.array(attribution.details["half_widths"])
        quantile = scipy.stats.t.ppf(1 - 0.05 / (2 * 16), 3 * 32 - 16)
        np.testing.assert_allclose(widths, quantile * errors, rtol=1e-4)


def test_a_tolerance_stops_at_the_first_look_that_meets_it_and_reports_what_less_costs():
    game = make_curved_game(49, curvature=0.3)
    attribution = play(Banzhaf(tolerance=0.1), game)
    details = attribution.details
    assert details["evaluations"] in (256, 512, 1024, 2048)
    assert details["stopped"] == "tolerance"
    assert details["relative_half_width"] <= 0.1
    assert set(details["more_evaluations"]) <= {"0.05", "0.02"}
    assert details["more_evaluations"]["0.02"] > details["more_evaluations"]["0.05"] > 0
    before = play(Banzhaf(n_replicates=details["evaluations"] // 256), game).details
    assert before["relative_half_width"] * 0.9 > 0.1  # even without the error spent on looks
    cheap = play(Banzhaf(tolerance=0.1), make_additive_game(np.arange(49.0)))
    assert cheap.details["evaluations"] == 128
    limited = play(Banzhaf(tolerance=0.001, max_replicates=3), game).details
    assert (limited["evaluations"], limited["stopped"]) == (384, "limit")


def test_a_constant_score_is_known_at_once_and_flat():
    attribution = play(KernelSHAP(tolerance=0.1), lambda kept: np.full(len(kept), 0.7))
    assert attribution.details["evaluations"] == 130
    assert np.ptp(attribution.heatmap) == 0


def test_one_replicate_has_no_spread_from_which_to_learn():
    details = play(Banzhaf(n_replicates=1, interval="replicates"), make_curved_game(49)).details
    assert details["half_width"] is None
    assert details["more_evaluations"] == {}


@pytest.mark.parametrize("cls", [Banzhaf, KernelSHAP])
def test_superpixels_are_players_too(cls):
    image = (skimage.data.astronaut()[:128:2, 160:288:2] / 255).astype(np.float32)
    evidence = np.zeros((*image.shape[:2], 3), np.float32)
    evidence[:32] = 1 / evidence[:32].size
    method = cls(players="superpixels", n_segments=20, n_replicates=2)
    outcome, attribution = explain(method, image, additive(evidence))
    assert outcome.evaluations == method.evaluations(image.shape[:2])
    assert len(attribution.coarse) == attribution.details["n_players"]
    assert attribution.heatmap.sum() != 0
    few = cls(players="superpixels", n_segments=4, n_replicates=8)
    assert few.adaptive
    outcome, attribution = explain(few, image, additive(evidence))
    assert outcome.evaluations == 2 ** attribution.details["n_players"]
    total = (evidence * (image - 0.5)).sum()
    np.testing.assert_allclose(attribution.coarse.sum(), total, atol=1e-5)


def test_banzhaf_values_rank_cells_as_the_map_of_rise_does_in_the_limit():
    game = make_curved_game(16)
    banzhaf = play(Banzhaf(grid=4, n_replicates=64), game).coarse.ravel()
    kept = np.random.default_rng(0).random((60_000, 16)) < 0.5
    scores = game(kept)
    rise = (scores @ kept) / kept.sum(0)  # RISE without enlarging and shifts
    assert np.corrcoef(banzhaf, rise)[0, 1] > 0.98
    np.testing.assert_allclose(rise - scores.mean(), banzhaf / 2, atol=0.006)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cls", "n_replicates"), [(Banzhaf, 3), (Banzhaf, 8), (KernelSHAP, 3), (KernelSHAP, 8)]
)
def test_intervals_cover_as_they_say(cls, n_replicates):
    game = make_curved_game(9, curvature=2.0)
    exact = play(cls(grid=3, n_replicates=16), game).coarse.ravel()
    degrees = 16 * n_replicates - (9 if cls is Banzhaf else 8)
    single, joint = scipy.stats.t.ppf([1 - 0.05 / 2, 1 - 0.05 / 18], degrees)
    pointwise, simultaneous = [], []
    for seed in range(400):
        attribution = play(cls(grid=3, n_replicates=n_replicates), game, seed)
        off = np.abs(attribution.coarse.ravel() - exact)
        widths = np.array(attribution.details["half_widths"])
        simultaneous.append((off <= widths).all())
        pointwise.append(off <= widths * single / joint)
    assert 0.93 <= np.mean(pointwise) <= 0.99
    assert np.mean(simultaneous) >= 0.95 - 3 * 0.011  # standard errors of 400 runs


@pytest.mark.slow
def test_shapley_values_equal_those_of_the_shap_package_within_their_error():
    shap = pytest.importorskip("shap")
    game = make_curved_game(25)
    explainer = shap.KernelExplainer(lambda z: game(z > 0.5), np.zeros((1, 25)))
    theirs = explainer.shap_values(np.ones(25), nsamples=6000, l1_reg=False, silent=True)
    attribution = play(KernelSHAP(grid=5, n_replicates=100), game)
    off = np.abs(attribution.coarse.ravel() - theirs)
    assert (off <= 2 * np.array(attribution.details["half_widths"])).all()
    assert np.corrcoef(attribution.coarse.ravel(), theirs)[0, 1] > 0.999
