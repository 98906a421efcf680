"""What a fill leaves of an object: recognition by a classifier, similarity and distance."""

import numpy as np
import pytest

from onnxplain import metrics
from onnxplain.core.data import Box
from onnxplain.metrics.fills.filling import FilledDistance, FilledSimilarity, StillRecognised
from onnxplain.metrics.fills.multiscale import ms_ssim
from onnxplain.runtime import from_callable
from tests.helpers.metrics import brightness, brightness_inside, judge_with_net
from tests.helpers.nets import Picture, ShiftedWhereRemoved

SIZE = (16, 18)
IMAGE = np.random.default_rng(21).random((*SIZE, 3), np.float32)
OBJECT = Box(4, 5, 12, 13)
BRIGHT = IMAGE * 0.2  # with a bright object
BRIGHT[4:12, 5:13] = 0.9


def test_object_is_no_longer_recognised_only_if_the_fill_removes_it():
    black, grey = StillRecognised(), StillRecognised(fill=Picture(0.8))
    removed, left = (
        judge_with_net(metric, brightness_inside, BRIGHT, None, boxes=[OBJECT])
        for metric in (black, grey)
    )
    assert (removed.value, removed.details["score_after"]) == (0, pytest.approx(0))
    assert removed.details["recognised_before"]
    assert left.value == 1


def test_another_classifier_recognises_what_is_left():
    scored = []

    def recognise(images):
        scored.append(images)
        return brightness_inside(images)

    by_function = StillRecognised(fill=Picture(0.0), recognise=recognise)
    by_net = StillRecognised(fill=Picture(0.0))
    ours, theirs = (
        judge_with_net(metric, brightness_inside, BRIGHT, None, boxes=[OBJECT])
        for metric in (by_net, by_function)
    )
    assert theirs.value == ours.value
    assert theirs.details == pytest.approx(ours.details, abs=1e-6)
    photo, filled = scored[0]
    np.testing.assert_array_equal(photo, BRIGHT)
    assert not filled[4:12, 5:13].any()
    always_yes = StillRecognised(recognise=lambda images: np.tile([0.2, 0.8], (len(images), 1)))
    score = judge_with_net(always_yes, brightness_inside, BRIGHT, None, boxes=[OBJECT])
    assert score.value == 1


def test_recogniser_resizes_images_and_must_know_the_classes():
    small = from_callable(brightness, size=(8, 9), n_classes=2)
    score = metrics.still_recognised(
        brightness, IMAGE, 1, boxes=[OBJECT], by=small, fill=Picture(1.0)
    )
    filled = IMAGE.copy()
    filled[4:12, 5:13] = 1
    assert score.details["score_after"] == pytest.approx(filled.mean(), abs=0.01)
    other = from_callable(lambda x: np.ones((len(x), 3)) / 3, size=(8, 9), n_classes=3)
    with pytest.raises(ValueError, match=r"must know the classes .* shape \(2, 2\), got \(2, 3\)"):
        metrics.still_recognised(brightness, IMAGE, 1, boxes=[OBJECT], by=other)


@pytest.mark.parametrize("value", [np.nan, -4.0, 7.0])
def test_recogniser_must_give_probabilities(value):
    def by(images):
        return np.full((len(images), 2), value)

    with pytest.raises(ValueError, match=r"give probabilities in \[0, 1\]"):
        metrics.still_recognised(brightness, IMAGE, 1, boxes=[OBJECT], by=by)


def test_filled_image_is_compared_with_the_photo():
    size = (180, 170)
    image = np.random.default_rng(0).random((*size, 3), np.float32)
    boxes = [Box(40, 50, 120, 130)]
    after = image.copy()
    after[40:120, 50:130] = 0.5
    similarity = FilledSimilarity(fill=Picture(0.5))
    score = judge_with_net(similarity, brightness, image, None, boxes=boxes)
    assert score.value == pytest.approx(ms_ssim(image, after), abs=1e-7)

    def mean_square(a, b):
        return ((a - b) ** 2).mean(axis=(1, 2, 3))

    distance = FilledDistance(mean_square)
    score = judge_with_net(distance, brightness, image, None, boxes=boxes, fill=Picture(0.5))
    assert score.value == pytest.approx(((image - after) ** 2).mean(), rel=1e-5)


def test_fill_that_depends_on_the_mask_is_given_the_mask_of_the_object():
    metric = FilledDistance(lambda a, b: (b - a).max(axis=(1, 2, 3)), ShiftedWhereRemoved())
    score = judge_with_net(metric, brightness, IMAGE * 0.5, None, boxes=[OBJECT])
    assert score.value == pytest.approx(64 / (16 * 18), abs=1e-6)


@pytest.mark.parametrize("distances", [[0.1, 0.2], [np.nan]])
def test_distance_must_be_one_finite_number(distances):
    with pytest.raises(ValueError, match="must be one finite number"):
        metrics.filled_distance(brightness, IMAGE, lambda a, b: np.array(distances), boxes=[OBJECT])
