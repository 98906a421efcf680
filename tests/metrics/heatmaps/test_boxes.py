"""Boxes, localisation, the pointing game and the saliency metric."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onnxplain.core.data import Box
from onnxplain.metrics.base import MetricResult
from onnxplain.metrics.heatmaps.boxes import (
    ALPHAS,
    choose_alpha,
    clip_boxes,
    find_box_above_threshold,
    get_value_at_alpha,
    iou,
    make_box_mask,
)
from onnxplain.metrics.heatmaps.localisation import LocalisationError, measure_overlap
from onnxplain.metrics.heatmaps.pointing import PointingGame, pointing_accuracy
from onnxplain.metrics.heatmaps.saliency import SaliencyMetric, crop_and_enlarge
from tests.helpers.metrics import judged
from tests.reference import metrics as reference

SIZE = (12, 15)
RNG = np.random.default_rng(3)
IMAGE = RNG.random((*SIZE, 3), np.float32)
HEATMAPS = arrays(np.float32, SIZE, elements=st.integers(-8, 8).map(lambda n: np.float32(n / 4)))
OBJECT = Box(2, 3, 9, 12)


def brightness(images):
    score = images.mean(axis=(1, 2, 3), dtype=np.float64)
    return np.stack([1 - score, score], axis=1)


def bump(row, column, width=3.0):
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / width**2).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(HEATMAPS, st.sampled_from(ALPHAS))
def test_a_box_is_around_every_pixel_that_survives(heatmap, alpha):
    expected = reference.box_at(heatmap, alpha)
    found = find_box_above_threshold(heatmap.astype(np.float64), alpha)
    assert found == (None if expected is None else Box(*expected))


@settings(max_examples=30, deadline=None)
@given(HEATMAPS)
def test_boxes_shrink_as_the_threshold_rises(heatmap):
    boxes = [find_box_above_threshold(heatmap.astype(np.float64), alpha) for alpha in ALPHAS]
    if boxes[0] is not None:
        for outer, inner in pairwise(boxes):
            assert outer.top <= inner.top
            assert outer.left <= inner.left
            assert outer.bottom >= inner.bottom
            assert outer.right >= inner.right


def test_the_largest_component_leaves_specks_out():
    heatmap = np.zeros(SIZE)
    heatmap[3:6, 4:8] = 1
    heatmap[0, 14] = 1
    assert find_box_above_threshold(heatmap, 0.5, "all") == Box(0, 4, 6, 15)
    assert find_box_above_threshold(heatmap, 0.5, "largest") == Box(3, 4, 6, 8)


@given(
    *(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(6, 12), st.integers(6, 15))
        for _ in range(2)
    )
)
def test_iou_counts_pixels(first, second):
    assert iou(Box(*first), Box(*second)) == pytest.approx(reference.pixel_iou(first, second))


def test_boxes_that_lie_apart_do_not_overlap():
    assert iou(Box(0, 0, 2, 2), Box(5, 5, 6, 6)) == 0


def test_boxes_are_cut_at_the_border_and_dropped_beyond():
    boxes = [Box(-3, 2.5, 4, 99), Box(-5, 0, 0, 3), Box(1, 20, 2, 30)]
    assert clip_boxes(boxes, SIZE) == (Box(0, 2.5, 4, 15),)


def test_the_union_of_boxes_is_one_region():
    halves = [Box(2, 3, 9, 8), Box(2, 8, 9, 12)]
    assert measure_overlap(OBJECT, halves, SIZE, "union") == 1
    assert measure_overlap(OBJECT, halves, SIZE, "any") == pytest.approx(5 / 9)
    assert make_box_mask(halves, SIZE).sum() == 7 * 9


@settings(max_examples=40, deadline=None)
@given(HEATMAPS, st.sampled_from(ALPHAS))
def test_localisation_is_what_plain_counting_gives(heatmap, alpha):
    score = judged(LocalisationError(alpha=alpha), brightness, IMAGE, heatmap, boxes=[OBJECT])
    truth = (2, 3, 9, 12)
    for each, value in zip(score.details["alphas"], score.details["values"], strict=True):
        found = reference.box_at(heatmap, each)
        overlap = 0 if found is None else reference.pixel_iou(found, truth)
        assert value == (overlap <= 0.5)
    assert score.value == get_value_at_alpha(score, alpha)


def test_the_object_itself_is_localised_and_its_complement_is_not():
    inside = make_box_mask([OBJECT], SIZE).astype(np.float32)
    metric = LocalisationError()
    hit = judged(metric, brightness, IMAGE, inside, boxes=[OBJECT])
    assert hit.value == 0
    assert hit.details["box"] == [2, 3, 9, 12]
    corner = np.zeros(SIZE, np.float32)
    corner[0, 0] = 1
    assert judged(metric, brightness, IMAGE, corner, boxes=[OBJECT]).value == 1
    assert hit.details["whole_image_overlap"] == pytest.approx(63 / 180)


def test_localisation_needs_a_box():
    with pytest.raises(ValueError, match="localisation needs a box"):
        judged(LocalisationError(), brightness, IMAGE, bump(5, 5), boxes=[Box(0, 40, 3, 50)])


def test_the_best_alpha_is_that_of_the_held_out_mean():
    def score(values):
        return MetricResult(0.0, {"alphas": [0.0, 0.5, 0.9], "values": values})

    held_out = [score([1.0, 0.0, 0.0]), score([1.0, 0.0, 1.0]), score([0.0, 1.0, 1.0])]
    assert choose_alpha(held_out, "lower") == 0.5
    assert choose_alpha(held_out, "higher") == 0.0
    assert get_value_at_alpha(held_out[1], 0.9) == 1.0
    with pytest.raises(ValueError, match="one of"):
        get_value_at_alpha(held_out[0], 0.3)
    with pytest.raises(ValueError, match="one grid"):
        choose_alpha([*held_out, MetricResult(0.0, {"alphas": [0.5], "values": [0.0]})], "lower")


@pytest.mark.parametrize(("column", "hits"), [(7, 1), (11, 1), (13, 1), (14, 0)])
def test_the_pointing_game_forgives_the_tolerance(column, hits):
    metric = PointingGame(tolerance=2)
    assert judged(metric, brightness, IMAGE, bump(5, column), boxes=[OBJECT]).value == hits


def test_shared_maxima_count_in_equal_parts():
    heatmap = np.zeros(SIZE, np.float32)
    score = judged(PointingGame(tolerance=0), brightness, IMAGE, heatmap, boxes=[OBJECT])
    assert score.value == pytest.approx(63 / 180)
    assert score.details["chance"] == pytest.approx(63 / 180)


def test_random_maps_hit_as_often_as_chance_says():
    rng = np.random.default_rng(0)
    metric = PointingGame(tolerance=1)
    scores = [
        judged(metric, brightness, IMAGE, rng.random(SIZE, np.float32), boxes=[OBJECT])
        for _ in range(300)
    ]
    chance = scores[0].details["chance"]
    # Four standard errors of 300 draws.
    spread = 4 * np.sqrt(chance * (1 - chance) / 300)
    assert np.mean([score.value for score in scores]) == pytest.approx(chance, abs=spread)


def test_pointing_accuracy_weighs_classes_and_not_images():
    assert pointing_accuracy([1, 1, 1, 0], [4, 4, 4, 8]) == 0.5
    with pytest.raises(ValueError, match="one class a hit"):
        pointing_accuracy([1], [])


def test_the_saliency_metric_of_a_box_is_its_closed_form():
    heatmap = make_box_mask([OBJECT], SIZE).astype(np.float32)
    image = np.full((*SIZE, 3), 0.2, np.float32)
    image[2:9, 3:12] = 0.8
    score = judged(SaliencyMetric(grid=False), brightness, image, heatmap)
    assert score.value == pytest.approx(np.log(63 / 180) - np.log(0.8), abs=1e-6)
    assert score.details["box"] == [2, 3, 9, 12]


def test_a_small_crop_is_not_smaller_than_the_floor():
    heatmap = np.zeros(SIZE, np.float32)
    heatmap[5, 6] = 1
    image = np.full((*SIZE, 3), 0.5, np.float32)
    score = judged(SaliencyMetric(), brightness, image, heatmap)
    assert score.value == pytest.approx(np.log(0.05) - np.log(0.5), abs=1e-6)


def test_a_map_that_marks_nothing_is_the_whole_image():
    score = judged(SaliencyMetric(), brightness, IMAGE, -bump(5, 5))
    assert score.details["marks_nothing"]
    assert score.value == pytest.approx(-np.log(IMAGE.mean()), abs=1e-6)


def test_the_score_of_zero_is_finite_and_counted():
    score = judged(SaliencyMetric(grid=False), brightness, np.zeros_like(IMAGE), bump(5, 5))
    assert score.value < 50
    assert score.details["clipped"] == 1


def test_equal_boxes_are_scored_once():
    calls = []

    def counting(images):
        calls.append(len(images))
        return brightness(images)

    judged(SaliencyMetric(), counting, IMAGE, make_box_mask([OBJECT], SIZE).astype(np.float32))
    assert sum(calls) == 1


def test_a_crop_keeps_its_last_row_and_column():
    image = np.zeros((*SIZE, 3), np.float32)
    image[8, 3:12] = 1
    assert crop_and_enlarge(image, Box(8, 3, 9, 12)).min() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(crop_and_enlarge(image, Box(0, 0, *SIZE)), image, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(HEATMAPS, st.floats(0.1, 50))
def test_boxes_do_not_depend_on_the_scale_of_the_heatmap(heatmap, factor):
    for metric in (LocalisationError(), SaliencyMetric(), PointingGame()):
        # A power of two scales without rounding, so no pixel changes sides of the threshold.
        power = np.float32(2.0 ** round(np.log2(factor)))
        plain, scaled = (
            judged(metric, brightness, IMAGE, each, boxes=[OBJECT])
            for each in (heatmap, heatmap * power)
        )
        assert plain.value == scaled.value


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        (Box(3, 14.7, 6, 15), {(3, 14), (4, 14), (5, 14)}),  # cut off by a crop
        (Box(3.6, 5.6, 4.4, 6.4), {(4, 6)}),
        (Box(11.9, 14.9, 12, 15), {(11, 14)}),
    ],
)
def test_an_object_without_a_pixel_centre_is_the_pixels_of_its_middle(box, pixels):
    mask = make_box_mask([box], SIZE)
    assert {(int(y), int(x)) for y, x in np.argwhere(mask)} == pixels
    row, column = min(pixels)
    score = judged(PointingGame(tolerance=0), brightness, IMAGE, bump(row, column), boxes=[box])
    assert score.value == 1


@pytest.mark.parametrize("truth", ["union", "any"])
def test_localisation_takes_the_overlap_and_the_truth_that_are_asked_for(truth):
    halves = [Box(2, 3, 9, 8), Box(2, 8, 9, 12)]
    inside = make_box_mask(halves, SIZE).astype(np.float32)
    for overlap in (0.5, 0.6):  # 5 / 9 with the larger half, 1 with both
        metric = LocalisationError(truth=truth, overlap=overlap)
        value = judged(metric, brightness, IMAGE, inside, boxes=halves).value
        assert value == (truth == "any" and overlap == 0.6)


def test_localisation_and_saliency_take_the_component_that_is_asked_for():
    speck = make_box_mask([OBJECT], SIZE).astype(np.float32)
    speck[0, 0] = 1
    boxes = {
        around: judged(
            LocalisationError(around=around), brightness, IMAGE, speck, boxes=[OBJECT]
        ).details["box"]
        for around in ("all", "largest")
    }
    assert boxes == {"all": [0, 0, 9, 12], "largest": [2, 3, 9, 12]}
    flat = np.full_like(IMAGE, 0.5)  # every crop scores the same: the area alone decides
    small, large = (
        judged(SaliencyMetric(around=around), brightness, flat, speck).value
        for around in ("largest", "all")
    )
    assert large - small == pytest.approx(np.log(9 * 12 / (7 * 9)), abs=1e-4)
    floor = judged(SaliencyMetric(around="largest", smallest_area=0.9), brightness, flat, speck)
    assert floor.value == pytest.approx(np.log(0.9 / 0.5), abs=1e-4)
