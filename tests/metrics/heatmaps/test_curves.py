import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from onnxplain.fills import FoldedBlur
from onnxplain.fills.folded import KERNEL
from onnxplain.metrics.heatmaps.curves import Deletion, Insertion, area_under_curve, rank_pixels
from tests.helpers.metrics import judge_with_net
from tests.helpers.nets import Picture, additive, curved
from tests.reference import metrics as reference

RNG = np.random.default_rng(5)
SIZE = (13, 17)
IMAGE = RNG.random((*SIZE, 3), np.float32)
HEATMAP = RNG.normal(size=SIZE).astype(np.float32)
CURVED = curved(RNG.normal(0, 0.3, (*SIZE, 3, 2)).astype(np.float32))
POSITIVE = (RNG.random((*SIZE, 3)) / np.prod(SIZE) / 3).astype(np.float32)
MEAN = (0.485, 0.456, 0.406)


class MeanColour:
    """The fill that is zero once normalised."""

    def prepare(self, image, rng):
        return np.broadcast_to(np.float32(MEAN), image.shape)


def always_same(images):
    return np.tile([0.7, 0.3], (len(images), 1))


def test_kernel_is_a_gaussian_with_folded_tails():
    delta = np.zeros((11, 11))
    delta[5, 5] = 1
    np.testing.assert_allclose(np.outer(KERNEL, KERNEL), gaussian_filter(delta, 5), atol=1e-12)
    assert sum(KERNEL) == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        (Deletion(step=20, fill=MeanColour()), "deletion"),
        (Insertion(step=20, fill=FoldedBlur()), "insertion"),
    ],
)
def test_curves_equal_those_of_rises_evaluation_program(metric, mode):
    score = judge_with_net(metric, CURVED, IMAGE, HEATMAP)
    curve, auc = reference.rise_curve(
        lambda image: CURVED(image[None])[0, 1], IMAGE, HEATMAP, mode, 20
    )
    # The engine composes in float32, the reference in float64.
    np.testing.assert_allclose(score.details["curve"], curve, atol=2e-6)
    assert score.value == pytest.approx(auc, abs=2e-6)


def test_blur_is_wide_and_padded_with_the_mean():
    blurred = FoldedBlur(border=MEAN).prepare(np.ones((30, 30, 3), np.float32), RNG)
    np.testing.assert_allclose(blurred[15, 15], 1, atol=1e-6)
    corner = np.float64(MEAN) + (1 - np.float64(MEAN)) * sum(KERNEL[:6]) ** 2
    np.testing.assert_allclose(blurred[0, 0], corner, atol=1e-6)


@pytest.mark.parametrize("metric", [Deletion(step=7), Insertion(step=7)])
def test_constant_score_is_the_area(metric):
    assert judge_with_net(metric, always_same, IMAGE, HEATMAP).value == pytest.approx(0.3, abs=1e-7)


def test_score_of_a_single_pixel_gives_the_area_of_its_step():
    heatmap = np.zeros((10, 10), np.float32)
    heatmap[4, 6] = -1  # the last of all to go
    image = np.ones((10, 10, 3), np.float32)

    def see_one_pixel(images):
        score = (images[:, 4, 6, 0] > 0.5).astype(np.float64)
        return np.stack([1 - score, score], axis=1)

    late = judge_with_net(Deletion(step=10), see_one_pixel, image, heatmap).value
    early = judge_with_net(Deletion(step=10), see_one_pixel, image, -heatmap).value
    # Scores are 1 at ten of eleven points, or at the first one only.
    assert late == pytest.approx((10 - 0.5) / 10)
    assert early == pytest.approx(0.5 / 10)


def test_additive_score_over_a_black_fill_has_a_closed_form():
    weight = (IMAGE * POSITIVE).sum(axis=2, dtype=np.float64).ravel()
    order = np.argsort(-HEATMAP.ravel(), kind="stable")
    left = weight.sum() - np.concatenate([[0], np.cumsum(weight[order])])
    score = judge_with_net(Deletion(step=1), additive(POSITIVE), IMAGE, HEATMAP)
    np.testing.assert_allclose(score.details["curve"], left, atol=1e-6)
    # What insertion over black brings back is what deletion takes away.
    insertion = Insertion(step=1, fill=Picture(0.0))
    inserted = judge_with_net(insertion, additive(POSITIVE), IMAGE, HEATMAP)
    np.testing.assert_allclose(inserted.details["curve"], weight.sum() - left, atol=1e-6)


def test_effects_of_an_additive_net_are_the_best_heatmap_and_their_inverse_the_worst():
    effects = (IMAGE * POSITIVE).sum(axis=2)
    for metric, sign in ((Deletion(step=10), 1), (Insertion(step=10, fill=Picture(0.0)), -1)):
        best, middle, worst = (
            sign * judge_with_net(metric, additive(POSITIVE), IMAGE, heatmap).value
            for heatmap in (effects, HEATMAP, -effects)
        )
        assert best < middle < worst


@settings(max_examples=30, deadline=None)
@given(
    heatmap=arrays(np.float32, SIZE, elements=st.integers(-5, 5).map(np.float32)),
    step=st.integers(1, SIZE[0] * SIZE[1] - 1),
    batch_size=st.integers(1, 9),
)
def test_only_the_order_of_the_heatmap_matters(heatmap, step, batch_size):
    plain = judge_with_net(Deletion(step=step), CURVED, IMAGE, heatmap)
    increased = np.exp(heatmap) * 3 - 1
    changed = judge_with_net(Deletion(step=step), CURVED, IMAGE, increased, batch_size=batch_size)
    assert changed.value == pytest.approx(plain.value, abs=1e-6)
    assert 0 <= plain.value <= 1
    assert plain.details["share"][0] == 0
    assert plain.details["share"][-1] == 1
    assert len(plain.details["curve"]) == -(-SIZE[0] * SIZE[1] // step) + 1


@pytest.mark.parametrize("metric", [Deletion, Insertion])
def test_curve_has_28_steps_at_any_size_and_never_only_its_ends(metric):
    assert [metric().evaluations(size) for size in ((224, 224), (64, 64), (7, 4))] == [29, 29, 29]
    assert metric(step=1792).evaluations((224, 224)) == 29
    with pytest.raises(ValueError, match=r"step of 1792 pixels has no point.*32 x 32.*smaller"):
        metric(step=1792).evaluations((32, 32))


def test_equal_values_go_in_reading_order_or_in_a_seeded_order():
    heatmap = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(
        rank_pixels(heatmap, "row-major", np.random.default_rng(0)), [[2, 0], [1, 3]]
    )
    flat = np.zeros((8, 8))
    drawn = [rank_pixels(flat, "random", np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    rows = np.repeat([[1.0], [0.0]], 8, axis=1)
    mixed = rank_pixels(rows, "random", np.random.default_rng(1))
    assert mixed[0].max() < mixed[1].min()


def test_papers_step_at_224_pixels_gives_29_points():
    assert Deletion().evaluations((224, 224)) == 29


@pytest.mark.parametrize(
    ("heatmap", "message"),
    [
        (np.zeros((3, 3), np.float32), r"shape \(3, 3\).*resize"),
        (np.full(SIZE, np.nan, np.float32), "NaN"),
    ],
)
def test_unusable_heatmap_is_an_error(heatmap, message):
    with pytest.raises(ValueError, match=message):
        judge_with_net(Deletion(), CURVED, IMAGE, heatmap)


def test_area_needs_two_scores():
    with pytest.raises(ValueError, match="two scores"):
        area_under_curve([1.0])
