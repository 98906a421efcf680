"""Fills: what they leave of an object, how neutral they are, what they do elsewhere."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from skimage.metrics import structural_similarity

from onnxplain import metrics
from onnxplain.core.data import Box, Case, make_rng
from onnxplain.engine.run import Job, run
from onnxplain.methods import FIDO, LIME, MP, SP
from onnxplain.metrics.fills.filling import (
    FilledDistance,
    FilledSimilarity,
    StillRecognised,
    frechet_distance,
)
from onnxplain.metrics.fills.multiscale import _terms, ms_ssim
from onnxplain.metrics.fills.neutrality import FillScore
from onnxplain.metrics.fills.perturbed import (
    LabelBias,
    OffObjectChange,
    find_patches_outside,
    record_labels,
)
from onnxplain.runtime import from_callable
from tests.helpers.metrics import judged
from tests.helpers.nets import Net, Picture, ShiftedWhereRemoved
from tests.reference import metrics as reference

RNG = np.random.default_rng(21)
SIZE = (16, 18)
IMAGE = RNG.random((*SIZE, 3), np.float32)
OBJECT = Box(4, 5, 12, 13)
LARGE = RNG.random((176, 180, 3)).cumsum(axis=0).cumsum(axis=1).astype(np.float32)
LARGE = LARGE % 1 * 0.5 + 0.2


def bright_inside(images):
    """Class 1 is how bright the object is."""
    score = images[:, 4:12, 5:13].mean(axis=(1, 2, 3), dtype=np.float64)
    return np.stack([1 - score, score], axis=1)


def brightness(images):
    score = images.mean(axis=(1, 2, 3), dtype=np.float64)
    return np.stack([1 - score, score], axis=1)


def test_equal_images_have_an_ms_ssim_of_one():
    assert ms_ssim(LARGE, LARGE) == pytest.approx(1)


@pytest.mark.slow
def test_ms_ssim_is_that_of_windows_cut_out_one_at_a_time():
    other = np.clip(LARGE + RNG.normal(0, 0.1, LARGE.shape), 0, 1).astype(np.float32)
    expected = np.mean(
        [
            reference.ms_ssim(LARGE[:, :176, c].astype(float), other[:, :176, c].astype(float))
            for c in range(3)
        ]
    )
    assert ms_ssim(LARGE[:, :176], other[:, :176]) == pytest.approx(expected, abs=1e-9)


def test_ms_ssim_pads_odd_sides_as_others_do():
    rows, columns = np.indices((181, 225))
    first, second = (
        np.stack(
            [0.5 + 0.3 * np.sin(rows * columns / (50 + 20 * k) + phase) for k in range(3)], axis=-1
        ).astype(np.float32)
        for phase in (0.0, 0.5)
    )
    # pytorch_msssim.ms_ssim(..., data_range=1.0), version 1.0.0, whose window is float32.
    assert ms_ssim(first, second) == pytest.approx(0.9444805348, abs=1e-6)


def test_one_scale_of_ms_ssim_is_scikit_images():
    other = np.clip(LARGE * 0.8 + 0.1, 0, 1).astype(np.float64)
    luminance, contrast = _terms(LARGE.astype(np.float64), other)
    expected = structural_similarity(
        LARGE.astype(np.float64),
        other,
        channel_axis=2,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert (luminance * contrast).mean() == pytest.approx(expected, abs=1e-12)


def test_ms_ssim_falls_with_noise_and_refuses_small_images():
    values = [
        ms_ssim(LARGE, np.clip(LARGE + RNG.normal(0, s, LARGE.shape), 0, 1).astype(np.float32))
        for s in (0.02, 0.1, 0.4)
    ]
    assert 1 > values[0] > values[1] > values[2] > 0
    with pytest.raises(ValueError, match="above 160"):
        ms_ssim(LARGE[:160], LARGE[:160])


def test_frechet_distance_is_the_formula_with_a_matrix_root():
    first, second = RNG.normal(size=(40, 6)), RNG.normal(0.5, 2, size=(50, 6)) @ np.eye(6)[::-1]
    c1, c2 = np.cov(first.T), np.cov(second.T)
    apart = ((first.mean(0) - second.mean(0)) ** 2).sum()
    expected = apart + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_moved_features_is_the_square_of_the_way():
    features = RNG.normal(size=(30, 4))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + np.array([3, 0, 0, 4])) == pytest.approx(25)
    assert frechet_distance(features[:3], features[:3]) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="two rows"):
        frechet_distance(features, features[:1])


def test_a_removed_object_is_not_recognised_and_one_left_is():
    image = IMAGE * 0.2
    image[4:12, 5:13] = 0.9
    gone = judged(StillRecognised(), bright_inside, image, None, boxes=[OBJECT])
    assert (gone.value, gone.details["score_after"]) == (0, pytest.approx(0))
    assert gone.details["recognised_before"]
    left = judged(StillRecognised(fill=Picture(0.8)), bright_inside, image, None, boxes=[OBJECT])
    assert left.value == 1


def test_another_classifier_recognises_what_is_left():
    image = IMAGE * 0.2
    image[4:12, 5:13] = 0.9
    asked = []

    def other(images):
        asked.append(images)
        return bright_inside(images)

    by = StillRecognised(fill=Picture(0.0), recognise=other)
    net = StillRecognised(fill=Picture(0.0))
    ours, theirs = (judged(m, bright_inside, image, None, boxes=[OBJECT]) for m in (net, by))
    assert theirs.value == ours.value
    assert theirs.details == pytest.approx(ours.details, abs=1e-6)
    photo, removed = asked[0]
    np.testing.assert_array_equal(photo, image)
    assert not removed[4:12, 5:13].any()
    other_opinion = StillRecognised(recognise=lambda images: np.tile([0.2, 0.8], (len(images), 1)))
    assert judged(other_opinion, bright_inside, image, None, boxes=[OBJECT]).value == 1


def test_a_recogniser_brings_images_to_its_size_and_must_know_the_classes():
    small = from_callable(brightness, size=(8, 9), n_classes=2)
    found = metrics.still_recognised(
        brightness, IMAGE, 1, boxes=[OBJECT], by=small, fill=Picture(1.0)
    )
    filled = IMAGE.copy()
    filled[4:12, 5:13] = 1
    assert found.details["score_after"] == pytest.approx(filled.mean(), abs=0.01)
    other = from_callable(lambda x: np.ones((len(x), 3)) / 3, size=(8, 9), n_classes=3)
    with pytest.raises(ValueError, match=r"must know the classes .* shape \(2, 2\), got \(2, 3\)"):
        metrics.still_recognised(brightness, IMAGE, 1, boxes=[OBJECT], by=other)


def test_the_frechet_distance_of_filled_images_is_that_of_their_features():
    images = RNG.random((20, *SIZE, 3), np.float32)  # more than are held at a time
    after = images.copy()
    after[:, 4:12, 5:13] = 1

    def features(some):
        return some[:, 3:9, 4:9].mean(axis=(1, 3))

    found = metrics.filled_frechet(
        brightness, list(images), features, boxes=[[OBJECT]] * 20, fill="white"
    )
    assert found.value == pytest.approx(
        frechet_distance(features(images), features(after)), rel=1e-4
    )
    assert found.details == {"images": [20, 20]}
    with pytest.raises(ValueError, match="got none"):
        metrics.filled_frechet(brightness, [], features, boxes=[])
    with pytest.raises(ValueError, match="zip"):
        metrics.filled_frechet(brightness, list(images), features, boxes=[[OBJECT]])


def test_the_filled_image_is_compared_with_the_photo():
    size = (180, 170)
    image = np.random.default_rng(0).random((*size, 3), np.float32)
    boxes = [Box(40, 50, 120, 130)]
    after = image.copy()
    after[40:120, 50:130] = 0.5
    score = judged(FilledSimilarity(fill=Picture(0.5)), brightness, image, None, boxes=boxes)
    assert score.value == pytest.approx(ms_ssim(image, after), abs=1e-7)

    def mean_square(a, b):
        return ((a - b) ** 2).mean(axis=(1, 2, 3))

    metric = FilledDistance(mean_square)
    score = judged(metric, brightness, image, None, boxes=boxes, fill=Picture(0.5))
    assert score.value == pytest.approx(((image - after) ** 2).mean(), rel=1e-5)


def test_a_fill_that_depends_on_the_mask_is_given_the_object():
    metric = FilledDistance(lambda a, b: (b - a).max(axis=(1, 2, 3)), ShiftedWhereRemoved())
    score = judged(metric, brightness, IMAGE * 0.5, None, boxes=[OBJECT])
    assert score.value == pytest.approx(64 / (16 * 18), abs=1e-6)


@pytest.mark.parametrize("level", [0.1, 0.6])
def test_the_score_of_a_fill_is_that_of_its_picture_alone(level):
    score = judged(FillScore(fill=Picture(level)), brightness, IMAGE, None)
    assert score.value == pytest.approx(level, abs=1e-6)
    assert score.details["top"] == int(level > 0.5)
    expected = -level * np.log(level) - (1 - level) * np.log(1 - level)
    assert score.details["entropy"] == pytest.approx(expected, abs=1e-5)


def test_only_patches_that_share_no_pixel_with_the_object_are_outside():
    corners = np.array([[r, c] for r in range(14) for c in range(16)])
    outside = find_patches_outside(corners, 3, [OBJECT, Box(0, 0, 1, 1)])
    for (row, column), is_outside in zip(corners, outside, strict=True):
        covered = {(row + i, column + j) for i in range(3) for j in range(3)}
        inside = {(r, c) for r in range(4, 12) for c in range(5, 13)} | {(0, 0)}
        assert is_outside == (not covered & inside)


def test_a_score_that_only_sees_the_object_does_not_change_outside():
    metric = OffObjectChange(patch=3, stride=1)
    score = judged(metric, bright_inside, IMAGE, None, boxes=[OBJECT], fill=Picture(0.5))
    assert score.value == pytest.approx(0, abs=1e-6)
    assert score.details["positions"] > 50


def test_off_object_change_is_the_mean_of_the_drops_that_sp_measured():
    metric = OffObjectChange(patch=3, stride=2)
    score = judged(metric, brightness, IMAGE, None, boxes=[OBJECT], fill=Picture(0.5))
    case = Case("photo", IMAGE, 1)
    flow = SP(patch=3, stride=2).flow(case, make_rng(0))
    (outcome,) = run(Net(brightness, SIZE), [Job((case,), (flow,), Picture(0.5))])
    drops = outcome.values[0].coarse
    corners = np.stack(np.indices(drops.shape), axis=-1).reshape(-1, 2) * 2
    outside = find_patches_outside(corners, 3, [OBJECT])
    assert score.value == pytest.approx(np.abs(drops.ravel()[outside]).mean(), abs=1e-6)


def test_an_object_that_fills_the_image_leaves_no_position():
    score = judged(OffObjectChange(patch=3), brightness, IMAGE, None, boxes=[Box(0, 0, 16, 18)])
    assert np.isnan(score.value)


def test_the_labels_of_a_method_come_from_its_own_evaluations():
    net = Net(brightness, SIZE)
    case = Case("photo", IMAGE, 1)
    method = LIME(n_samples=30, n_segments=6)
    flows = [method.flow(case, make_rng(0)), record_labels(method.flow(case, make_rng(0)))]
    plain, both = run(net, [Job((case,), (flow,), Picture(0.0)) for flow in flows])
    (attribution, labels) = both.values[0]
    np.testing.assert_allclose(attribution.heatmap, plain.values[0].heatmap, atol=1e-6)
    assert (len(labels), both.evaluations) == (30, 30)
    assert set(labels) <= {0, 1}
    assert labels[0] == int(IMAGE.mean() > 0.5)


@pytest.mark.parametrize("method", [MP(grid=4, n_steps=3), FIDO(grid=4, n_steps=3, n_samples=4)])
def test_samples_that_a_method_composes_itself_have_labels_too(method):
    case = Case("photo", IMAGE, 1)
    flow = record_labels(method.flow(case, make_rng(0)))
    (outcome,) = run(Net(brightness, SIZE), [Job((case,), (flow,), Picture(0.0))])
    assert outcome.error is None
    assert len(outcome.values[0][1]) == outcome.evaluations > 0


def test_label_bias_is_the_share_of_the_most_common():
    score = LabelBias(top=2).judge([5, 5, 5, 9, 9, 2, 1, 1])
    assert score.value == pytest.approx(5 / 8)
    assert score.details["classes"] == [5, 1, 9, 2]
    assert score.details["counts"] == [3, 2, 2, 1]
    even = LabelBias(top=1).judge(range(10))
    assert even.value == pytest.approx(0.1)
    assert even.details["entropy"] == pytest.approx(np.log(10))
    with pytest.raises(ValueError, match="got none"):
        LabelBias().judge([])


@pytest.mark.parametrize("answer", [np.nan, -4.0, 7.0])
def test_what_recognises_gives_probabilities(answer):
    def by(images):
        return np.full((len(images), 2), answer)

    with pytest.raises(ValueError, match=r"give probabilities in \[0, 1\]"):
        metrics.still_recognised(brightness, IMAGE, 1, boxes=[OBJECT], by=by)


@pytest.mark.parametrize("answer", [[0.1, 0.2], [np.nan]])
def test_a_distance_is_one_finite_number(answer):
    with pytest.raises(ValueError, match="must be one finite number"):
        metrics.filled_distance(brightness, IMAGE, lambda a, b: np.array(answer), boxes=[OBJECT])


def test_features_are_finite_and_images_of_a_set_have_one_size():
    with pytest.raises(ValueError, match="NaN or infinite"):
        frechet_distance([[0.0, 1.0], [1.0, np.nan]], [[0.0, 1.0], [1.0, 1.0]])
    images, boxes = [IMAGE, IMAGE[:, :-1]], [[OBJECT]] * 2
    with pytest.raises(ValueError, match="have one size"):
        metrics.filled_frechet(brightness, images, lambda x: x.mean(axis=(1, 2)), boxes=boxes)


def test_arrays_of_a_set_are_drawn_for_one_by_one():
    drawn = []

    def features(images):
        drawn.append(images[:, 4:12, 5:13])
        return images.mean(axis=(1, 2))

    images, boxes = [np.full_like(IMAGE, 0.5)] * 2, [[OBJECT]] * 2
    metrics.filled_frechet(brightness, images, features, boxes=boxes, fill="uniform-noise")
    first, second = drawn[1]
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.5


def test_a_patch_that_does_not_fit_is_told():
    with pytest.raises(ValueError, match="OffObjectChange: patch must fit"):
        metrics.off_object_change(brightness, IMAGE, 1, boxes=[OBJECT], patch=17)
