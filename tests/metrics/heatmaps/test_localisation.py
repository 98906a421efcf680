import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.data import Box
from onnxplain.metrics.heatmaps.boxes import ALPHAS, get_value_at_alpha, make_box_mask
from onnxplain.metrics.heatmaps.localisation import LocalisationError, measure_overlap
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

HALVES = [Box(2, 3, 9, 8), Box(2, 8, 9, 12)]  # of OBJECT


def test_union_of_boxes_is_one_region():
    assert measure_overlap(OBJECT, HALVES, BOX_SIZE, "union") == 1
    assert measure_overlap(OBJECT, HALVES, BOX_SIZE, "any") == pytest.approx(5 / 9)
    assert make_box_mask(HALVES, BOX_SIZE).sum() == 7 * 9


@settings(max_examples=40, deadline=None)
@given(BOX_HEATMAPS, st.sampled_from(ALPHAS), st.sampled_from(["min-max", "max"]))
def test_localisation_equals_plain_counting(heatmap, alpha, scale):
    metric = LocalisationError(alpha=alpha, scale=scale)
    score = judge_with_net(metric, brightness, BOX_IMAGE, heatmap, boxes=[OBJECT])
    truth = (2, 3, 9, 12)
    for threshold, value in zip(score.details["alphas"], score.details["values"], strict=True):
        box = reference.find_box(heatmap, threshold, scale)
        overlap = 0 if box is None else reference.pixel_iou(box, truth)
        assert value == (overlap <= 0.5)
    assert score.value == get_value_at_alpha(score, alpha)


def test_object_itself_is_localised_and_a_far_corner_is_not():
    inside = make_box_mask([OBJECT], BOX_SIZE).astype(np.float32)
    metric = LocalisationError()
    hit = judge_with_net(metric, brightness, BOX_IMAGE, inside, boxes=[OBJECT])
    assert hit.value == 0
    assert hit.details["box"] == [2, 3, 9, 12]
    corner = np.zeros(BOX_SIZE, np.float32)
    corner[0, 0] = 1
    assert judge_with_net(metric, brightness, BOX_IMAGE, corner, boxes=[OBJECT]).value == 1
    assert hit.details["whole_image_overlap"] == pytest.approx(63 / 180)


def test_localisation_needs_a_box_in_the_image():
    heatmap, outside = make_bump(5, 5), [Box(0, 40, 3, 50)]
    with pytest.raises(ValueError, match="localisation needs a box"):
        judge_with_net(LocalisationError(), brightness, BOX_IMAGE, heatmap, boxes=outside)


@pytest.mark.parametrize("truth", ["union", "any"])
def test_overlap_and_truth_decide_what_is_a_hit(truth):
    inside = make_box_mask(HALVES, BOX_SIZE).astype(np.float32)
    for overlap in (0.5, 0.6):  # 5 / 9 with the larger half, 1 with both
        metric = LocalisationError(truth=truth, overlap=overlap)
        value = judge_with_net(metric, brightness, BOX_IMAGE, inside, boxes=HALVES).value
        assert value == (truth == "any" and overlap == 0.6)


def test_box_surrounds_all_pixels_or_the_largest_component():
    heatmap = make_box_mask([OBJECT], BOX_SIZE).astype(np.float32)
    heatmap[0, 0] = 1
    boxes = {
        around: judge_with_net(
            LocalisationError(around=around), brightness, BOX_IMAGE, heatmap, boxes=[OBJECT]
        ).details["box"]
        for around in ("all", "largest")
    }
    assert boxes == {"all": [0, 0, 9, 12], "largest": [2, 3, 9, 12]}
