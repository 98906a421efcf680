from statistics import NormalDist

import numpy as np
import pytest

from onnxplain.core.data import Case, make_rng
from onnxplain.methods import RISE
from onnxplain.methods.scores.mask_means import predict_others
from tests.helpers.games import make_curved_game, play
from tests.helpers.nets import Net, Picture, additive, curved, explain_image
from tests.reference import methods as reference

RNG = np.random.default_rng(2)
IMAGE = RNG.random((24, 31, 3), np.float32)
SHAPE = IMAGE.shape[:2]


@pytest.mark.parametrize("normalise", ["coverage", "expectation"])
def test_rise_equals_the_plain_loops(normalise):
    weights = (RNG.standard_normal((*SHAPE, 3, 2)) * 0.1).astype(np.float32)
    net = Net(curved(weights), SHAPE)
    method = RISE(n_masks=80, grid=5, p_keep=0.4, normalise=normalise)
    outcome = explain_image(net, method, Picture(0.5), IMAGE)
    rng = make_rng(0, "photo", "rise")
    kept = (rng.random((80, 5, 5), np.float32) < 0.4).astype(np.uint8)
    offsets = rng.integers(0, [5, 7], (80, 2))
    expected = reference.rise(
        lambda x: float(net.function(x[None])[0, 1]),
        IMAGE,
        np.full_like(IMAGE, 0.5),
        kept,
        offsets,
        coverage=normalise == "coverage",
        p_keep=0.4,
    )
    np.testing.assert_allclose(outcome.values[0].heatmap, expected, atol=1e-5)
    assert outcome.evaluations == 80


def test_rise_of_a_constant_score_is_that_score_at_every_pixel():
    net = Net(lambda x: np.tile([[0.3, 0.7]], (len(x), 1)), SHAPE)
    heatmap = explain_image(net, RISE(n_masks=50), Picture(), IMAGE).values[0].heatmap
    np.testing.assert_allclose(heatmap, 0.7, atol=1e-6)


def test_rise_on_an_additive_net_peaks_in_the_only_region_that_matters():
    weights = np.zeros((*SHAPE, 3), np.float32)
    weights[4:10, 20:27] = 1 / (6 * 7 * 3)
    heatmap = (
        explain_image(Net(additive(weights), SHAPE), RISE(n_masks=2000), Picture(), IMAGE)
        .values[0]
        .heatmap
    )
    peak = np.unravel_index(heatmap.argmax(), SHAPE)
    assert 4 <= peak[0] < 10
    assert 20 <= peak[1] < 27


def test_a_tolerance_stops_early_with_the_map_of_the_masks_so_far():
    weights = np.zeros((*SHAPE, 3), np.float32)
    weights[:12] = 1 / (12 * 31 * 3)
    net = Net(additive(weights), SHAPE)
    outcome = explain_image(net, RISE(n_masks=4000, tolerance=0.2), Picture(), IMAGE)
    details = outcome.values[0].details
    assert outcome.evaluations == details["evaluations"] in (256, 512, 1024, 2048)
    assert details["stopped"] == "tolerance"
    assert details["relative_half_width"] <= 0.2
    masks = next(RISE(n_masks=4000).flow(Case("photo", IMAGE, 1), make_rng(0, "photo", "rise")))
    part = masks.masks.part(0, outcome.evaluations)
    kept = 1 - part.render(0, len(part))
    scores = [net.function((IMAGE * mask[..., None])[None])[0, 1] for mask in kept]
    expected = np.einsum("n,nhw->hw", scores, kept) / kept.sum(axis=0)
    np.testing.assert_allclose(outcome.values[0].heatmap, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("normalise", "estimator"),
    [("coverage", "mean"), ("expectation", "mean"), ("coverage", "regression")],
)
def test_the_error_is_the_spread_of_many_runs_around_their_mean_score(
    normalise, estimator, monkeypatch
):
    monkeypatch.setattr("onnxplain.methods.scores.rise.N_UNSCORED", 2000)
    game = make_curved_game(16)
    method = RISE(n_masks=200, grid=4, normalise=normalise, estimator=estimator)
    maps, errors = [], []
    points = (2 * np.arange(5) + 1) * 28 // 10
    for seed in range(100):
        attribution = play(method, game, seed)
        masks = next(method.flow(Case("game", np.zeros((28, 28, 3)), 0), make_rng(seed))).masks
        mean = game(masks.cells.reshape(200, -1) == 0).mean()
        maps.append((attribution.heatmap[np.ix_(points, points)] - mean).ravel())
        errors.append(attribution.details["half_widths"])
    quantile = NormalDist().inv_cdf(1 - 0.05 / 50)
    ratio = np.mean(errors, axis=0) / quantile / np.std(maps, axis=0)
    assert ratio.mean() == pytest.approx(1, abs=0.05 if estimator == "mean" else 0.1)
    assert 0.7 < ratio.min() < ratio.max() < 1.33  # 100 runs tell a spread within 7 %


def test_regression_has_the_limit_of_the_mean_and_less_noise(monkeypatch):
    monkeypatch.setattr("onnxplain.methods.scores.rise.N_UNSCORED", 4000)
    game = make_curved_game(16, curvature=0.3)
    limit = play(RISE(n_masks=40_000, grid=4), game, 1)
    runs = {
        estimator: np.stack(
            [play(RISE(200, 4, estimator=estimator), game, seed).heatmap for seed in range(60)]
        )
        for estimator in ("mean", "regression")
    }
    # Differences of pixels: the mean score of the masks is noise common to all of them.
    noise = {
        name: (maps - maps.mean(axis=(1, 2), keepdims=True)).var(axis=0).mean()
        for name, maps in runs.items()
    }
    assert noise["regression"] < 0.5 * noise["mean"]
    bias = runs["regression"].mean(axis=0) - limit.heatmap
    allowed = 4 * np.sqrt(runs["regression"].var(axis=0) / 60) + 4 * limit.meaning.noise
    assert (np.abs(bias) < allowed).all()


def test_each_score_is_predicted_by_a_ridge_regression_that_has_not_seen_it():
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, scores = RNG.random((31, 4)), RNG.random(31)
    predictions, coefficients = predict_others(features, scores)
    expected, total = np.zeros(31), np.zeros(4)
    for fold in range(5):
        seen = np.arange(31) % 5 != fold
        ridge = linear_model.Ridge(alpha=0.1 * 4).fit(features[seen], scores[seen])
        expected[~seen] = ridge.predict(features[~seen])
        total += ridge.coef_ / 5
    np.testing.assert_allclose(predictions, expected)
    np.testing.assert_allclose(coefficients, total)


def test_regression_on_hardly_any_masks_still_makes_a_map():
    heatmap = play(RISE(3, 4, estimator="regression"), make_curved_game(16)).heatmap
    assert np.isfinite(heatmap).all()
