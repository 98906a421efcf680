"""Boxes around what a heatmap marks, masks of boxes, and the choice of the threshold."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.data import Box
from onnxplain.metrics.base import MetricResult
from onnxplain.metrics.heatmaps.boxes import (
    ALPHAS,
    choose_alpha,
    clip_boxes,
    clip_object_boxes,
    find_box_above_threshold,
    get_value_at_alpha,
    iou,
    list_alphas,
    make_box_mask,
)
from onnxplain.metrics.heatmaps.localisation import LocalisationError
from onnxplain.metrics.heatmaps.pointing import PointingGame
from onnxplain.metrics.heatmaps.saliency import SaliencyMetric
from tests.helpers.metrics import (
    BOX_HEATMAPS,
    BOX_IMAGE,
    BOX_SIZE,
    OBJECT,
    brightness,
    judge_with_net,
    make_bump,
)
from tests.reference import metrics as reference


@settings(max_examples=40, deadline=None)
@given(BOX_HEATMAPS, st.sampled_from(ALPHAS), st.sampled_from(["min-max", "max"]))
def test_box_surrounds_every_pixel_above_the_threshold(heatmap, alpha, scale):
    expected = reference.find_box(heatmap, alpha, scale)
    box = find_box_above_threshold(heatmap.astype(np.float64), alpha, scale=scale)
    assert box == (None if expected is None else Box(*expected))


@pytest.mark.parametrize("metric_class", [LocalisationError, SaliencyMetric])
def test_a_constant_added_to_a_map_changes_the_box_by_the_papers_rule_only(metric_class):
    bump = make_bump(5, 6)
    boxes = {
        (scale, offset): judge_with_net(
            metric_class(alpha=0.5, scale=scale),
            brightness,
            BOX_IMAGE,
            bump * 0.25 + np.float32(offset),
            boxes=[OBJECT],
        ).details["box"]
        for scale in ("min-max", "max")
        for offset in (0.0, 0.5, -4.0)
    }
    assert boxes["min-max", 0.5] == boxes["min-max", -4.0] == boxes["min-max", 0.0]
    assert boxes["max", 0.0] == boxes["min-max", 0.0]  # the least value of the bump is 0
    assert boxes["max", 0.5] == [0, 0, *BOX_SIZE]
    assert boxes["max", -4.0] == (None if metric_class is LocalisationError else [0, 0, *BOX_SIZE])


@settings(max_examples=30, deadline=None)
@given(BOX_HEATMAPS)
def test_boxes_shrink_as_the_threshold_rises(heatmap):
    boxes = [find_box_above_threshold(heatmap.astype(np.float64), alpha) for alpha in ALPHAS]
    if boxes[0] is not None:
        for outer, inner in pairwise(boxes):
            assert outer.top <= inner.top
            assert outer.left <= inner.left
            assert outer.bottom >= inner.bottom
            assert outer.right >= inner.right


def test_largest_component_leaves_specks_out():
    heatmap = np.zeros(BOX_SIZE)
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


def test_separate_boxes_have_an_iou_of_zero():
    assert iou(Box(0, 0, 2, 2), Box(5, 5, 6, 6)) == 0


def test_boxes_are_cut_at_the_border_and_dropped_outside():
    boxes = [Box(-3, 2.5, 4, 99), Box(-5, 0, 0, 3), Box(1, 20, 2, 30)]
    assert clip_boxes(boxes, BOX_SIZE) == (Box(0, 2.5, 4, 15),)


def test_object_boxes_must_overlap_the_image():
    assert clip_object_boxes([Box(-3, 2, 4, 99)], BOX_SIZE, "pointing") == (Box(0, 2, 4, 15),)
    with pytest.raises(ValueError, match="pointing needs a box around the object, got none"):
        clip_object_boxes([], BOX_SIZE, "pointing")
    with pytest.raises(ValueError, match=r"inside the image of \(12, 15\).*got \(Box\("):
        clip_object_boxes([Box(0, 40, 3, 50)], BOX_SIZE, "pointing")


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        (Box(3, 14.7, 6, 15), {(3, 14), (4, 14), (5, 14)}),  # cut off by a crop
        (Box(3.6, 5.6, 4.4, 6.4), {(4, 6)}),
        (Box(11.9, 14.9, 12, 15), {(11, 14)}),
    ],
)
def test_box_without_a_pixel_centre_gets_the_pixel_at_its_middle(box, pixels):
    mask = make_box_mask([box], BOX_SIZE)
    assert {(int(y), int(x)) for y, x in np.argwhere(mask)} == pixels
    row, column = min(pixels)
    heatmap = make_bump(row, column)
    metric = PointingGame(tolerance=0)
    assert judge_with_net(metric, brightness, BOX_IMAGE, heatmap, boxes=[box]).value == 1


def test_requested_threshold_is_sorted_into_the_grid():
    assert list_alphas(0.2) == ALPHAS
    assert list_alphas(0.33) == (*ALPHAS[:7], 0.33, *ALPHAS[7:])


def test_chosen_alpha_has_the_best_mean_over_held_out_images():
    def make_score(values):
        return MetricResult(0.0, {"alphas": [0.0, 0.5, 0.9], "values": values})

    held_out = [make_score(values) for values in ([1.0, 0, 0], [1.0, 0, 1.0], [0, 1.0, 1.0])]
    assert choose_alpha(held_out, "lower") == 0.5
    assert choose_alpha(held_out, "higher") == 0.0
    assert get_value_at_alpha(held_out[1], 0.9) == 1.0
    with pytest.raises(ValueError, match="one of"):
        get_value_at_alpha(held_out[0], 0.3)
    with pytest.raises(ValueError, match="one grid"):
        choose_alpha([*held_out, MetricResult(0.0, {"alphas": [0.5], "values": [0.0]})], "lower")


@settings(max_examples=25, deadline=None)
@given(BOX_HEATMAPS, st.floats(0.1, 50))
def test_metrics_of_boxes_ignore_the_scale_of_the_heatmap(heatmap, factor):
    for metric in (LocalisationError(), SaliencyMetric(), PointingGame()):
        # A power of two scales without rounding, so no pixel changes sides of the threshold.
        power = np.float32(2.0 ** round(np.log2(factor)))
        plain, scaled = (
            judge_with_net(metric, brightness, BOX_IMAGE, values, boxes=[OBJECT])
            for values in (heatmap, heatmap * power)
        )
        assert plain.value == scaled.value
