import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from onnxplain.core.data import make_rng
from onnxplain.image.superpixels import find_superpixels
from onnxplain.methods import LIME
from onnxplain.methods.scores.lime import weighted_lasso, weighted_ridge
from tests.helpers.games import make_curved_game
from tests.helpers.nets import Net, Picture, additive, curved, explain_image
from tests.reference import methods as reference

RNG = np.random.default_rng(1)
IMAGE = (skimage.data.astronaut()[:128:2, 160:288:2] / 255).astype(np.float32)
SHAPE = IMAGE.shape[:2]


def draw_samples(method):
    """The superpixels, and the samples that the method draws of them."""
    segments = find_superpixels(IMAGE, n_segments=method.n_segments, compactness=30.0, sigma=3.0)
    rng = make_rng(0, "photo", "lime")
    shape = method.n_samples, segments.max() + 1
    if method.p_keep == 0.5:
        kept = rng.integers(0, 2, shape, dtype=np.uint8)
    else:
        kept = (rng.random(shape) < method.p_keep).astype(np.uint8)
    kept[0] = 1
    return segments, kept


@pytest.mark.parametrize("p_keep", [0.5, 0.8])
def test_lime_equals_the_plain_loops(p_keep):
    weights = (RNG.standard_normal((*SHAPE, 3, 2)) * 0.02).astype(np.float32)
    net = Net(curved(weights), SHAPE)
    method = LIME(n_samples=60, n_segments=12, p_keep=p_keep)
    outcome = explain_image(net, method, Picture(0.5), IMAGE)
    segments, kept = draw_samples(method)
    expected = reference.lime(
        lambda x: float(net.function(x[None])[0, 1]),
        IMAGE,
        np.full_like(IMAGE, 0.5),
        segments,
        kept,
    )
    np.testing.assert_allclose(outcome.values[0].coarse, expected, atol=1e-6)
    np.testing.assert_array_equal(outcome.values[0].heatmap, outcome.values[0].coarse[segments])
    assert outcome.evaluations == 60


@pytest.mark.parametrize("p_keep", [0.3, 0.5, 0.8])
def test_lime_on_an_additive_net_without_penalty_returns_the_effect_of_each_segment(p_keep):
    weights = RNG.standard_normal((*SHAPE, 3)).astype(np.float32) / 200  # scores in [0, 1]
    method = LIME(n_samples=400, n_segments=20, alpha=0.0, p_keep=p_keep)
    outcome = explain_image(Net(additive(weights, base=0.5), SHAPE), method, Picture(0.5), IMAGE)
    segments, _ = draw_samples(method)
    effect = np.bincount(segments.ravel(), (weights * (IMAGE - 0.5)).sum(axis=-1).ravel())
    np.testing.assert_allclose(outcome.values[0].coarse, effect, rtol=1e-3, atol=5e-6)


def test_ridge_equals_the_lime_package_on_the_same_samples():
    base = pytest.importorskip("lime.lime_base")
    kept = RNG.integers(0, 2, (200, 30)).astype(np.uint8)
    kept[0] = 1
    scores = RNG.random(200)
    distances = 1 - kept.sum(1) / (np.sqrt(kept.sum(1)) * np.sqrt(30))
    theirs = base.LimeBase(
        lambda d: np.sqrt(np.exp(-(d**2) / 0.25**2)), random_state=0
    ).explain_instance_with_data(
        kept.astype(float),
        np.stack([1 - scores, scores], axis=1),
        distances,
        1,
        100000,
        feature_selection="auto",
    )
    expected = np.zeros(30)
    for feature, value in theirs[1]:
        expected[feature] = value
    *beta, intercept = weighted_ridge(kept, scores, LIME()._weigh(kept), 1.0).values
    np.testing.assert_allclose(beta, expected, atol=1e-6)
    assert intercept == pytest.approx(theirs[0], abs=1e-6)


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.1])
def test_lasso_equals_scikit_learn(alpha):
    linear_model = pytest.importorskip("sklearn.linear_model")
    kept = RNG.integers(0, 2, (150, 12)).astype(np.uint8)
    scores = kept @ RNG.standard_normal(12) + 0.1 * RNG.standard_normal(150)
    weights = RNG.random(150)
    theirs = linear_model.Lasso(alpha, tol=1e-12, max_iter=100_000).fit(
        kept, scores, sample_weight=weights
    )
    beta, intercept = weighted_lasso(kept, scores, weights, alpha)
    np.testing.assert_allclose(beta, theirs.coef_, atol=1e-6)
    assert intercept == pytest.approx(theirs.intercept_, abs=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_weights_fall_as_less_is_kept_and_a_sample_that_keeps_nothing_is_at_distance_1(seed):
    n_kept = np.random.default_rng(seed).permutation(9)
    kept = (np.arange(8) < n_kept[:, None]).astype(np.uint8)
    for distance in ("cosine", "l2"):
        weights = LIME(distance=distance, kernel_width=1.0)._weigh(kept)
        assert (np.diff(weights[np.argsort(n_kept)]) > 0).all()
    nothing = LIME()._weigh(np.zeros((1, 8), np.uint8))
    assert nothing[0] == pytest.approx(np.sqrt(np.exp(-16.0)))


@pytest.mark.parametrize("distance", ["cosine", "l2"])
@pytest.mark.parametrize("regression", ["ridge", "lasso"])
def test_every_regression_and_distance_finds_the_evidence_with_its_defaults(distance, regression):
    evidence = np.zeros((*SHAPE, 3), np.float32)
    evidence[:, : SHAPE[1] // 2] = 1 / evidence[:, : SHAPE[1] // 2].size

    def score_left_half(images):
        score = np.einsum("nhwc,hwc->n", images, evidence)
        return np.stack([1 - score, score], axis=1)

    method = LIME(n_samples=300, n_segments=20, distance=distance, regression=regression)
    coarse = (
        explain_image(Net(score_left_half, SHAPE), method, Picture(0.0), IMAGE).values[0].coarse
    )
    segments, _ = draw_samples(method)
    effect = [(IMAGE * evidence)[segments == label].sum() for label in range(len(coarse))]
    assert np.corrcoef(coarse, effect)[0, 1] > 0.8


def test_paired_samples_are_each_followed_by_their_complement():
    kept = LIME(n_samples=9, paired=True)._draw_sets(np.random.default_rng(0), 12)
    assert kept.shape == (9, 12)
    assert kept[0].all()
    np.testing.assert_array_equal(kept[0:8:2] + kept[1:8:2], 1)


def test_samples_keep_the_wanted_share_and_pairs_need_one_half():
    kept = LIME(n_samples=2000, p_keep=0.8)._draw_sets(make_rng(3), 40)
    assert kept[0].all()
    assert kept.mean() == pytest.approx(0.8, abs=0.01)  # 7 standard errors
    with pytest.raises(ValueError, match=r"paired=True needs p_keep=0\.5"):
        LIME(paired=True, p_keep=0.8)


def test_a_tolerance_stops_early_with_the_map_of_the_samples_so_far():
    weights = (RNG.standard_normal((*SHAPE, 3, 2)) * 0.02).astype(np.float32)
    net = Net(curved(weights), SHAPE)
    method = LIME(n_samples=1000, n_segments=12, tolerance=0.3)
    outcome = explain_image(net, method, Picture(0.5), IMAGE)
    (attribution,) = outcome.values
    assert outcome.evaluations == attribution.details["evaluations"] in (128, 256, 512)
    assert attribution.details["stopped"] == "tolerance"
    plain = LIME(n_samples=outcome.evaluations, n_segments=12)
    same = explain_image(net, plain, Picture(0.5), IMAGE).values[0]
    np.testing.assert_array_equal(attribution.coarse, same.coarse)
    assert same.details["half_width"] < attribution.details["half_width"]  # no error spent


def test_a_tolerance_needs_a_regression_with_intervals():
    with pytest.raises(ValueError, match="needs regression=ridge, because lasso has no intervals"):
        LIME(tolerance=0.1, regression="lasso")


@pytest.mark.parametrize("paired", [False, True])
def test_intervals_cover_the_coefficients_of_endless_samples(paired):
    game = make_curved_game(12)
    limit = LIME(n_samples=60_000, alpha=0.0)
    sets = limit._draw_sets(np.random.default_rng(0), 12)
    truth = limit.fit(sets, game(sets == 1))[0].values
    method, rng = LIME(n_samples=200, alpha=0.0, paired=paired), np.random.default_rng(1)
    covered = []
    for _ in range(300):
        kept = method._draw_sets(rng, 12)
        estimate, _ = method.fit(kept, game(kept == 1))
        covered.append(np.abs(estimate.values - truth) <= 1.96 * estimate.errors)
    assert 0.93 <= np.mean(covered) <= 0.98
