import numpy as np
import pytest

from onnxplain.core.data import Box
from onnxplain.metrics.heatmaps.boxes import make_box_mask
from onnxplain.metrics.heatmaps.saliency import SaliencyMetric, crop_and_enlarge
from tests.helpers.metrics import (
    BOX_IMAGE,
    BOX_SIZE,
    OBJECT,
    brightness,
    judge_with_net,
    make_bump,
)


def test_saliency_metric_of_a_box_has_a_closed_form():
    heatmap = make_box_mask([OBJECT], BOX_SIZE).astype(np.float32)
    image = np.full((*BOX_SIZE, 3), 0.2, np.float32)
    image[2:9, 3:12] = 0.8
    score = judge_with_net(SaliencyMetric(grid=False), brightness, image, heatmap)
    assert score.value == pytest.approx(np.log(63 / 180) - np.log(0.8), abs=1e-6)
    assert score.details["box"] == [2, 3, 9, 12]


def test_crop_below_the_smallest_area_counts_as_no_smaller():
    heatmap = np.zeros(BOX_SIZE, np.float32)
    heatmap[5, 6] = 1
    image = np.full((*BOX_SIZE, 3), 0.5, np.float32)
    score = judge_with_net(SaliencyMetric(), brightness, image, heatmap)
    assert score.value == pytest.approx(np.log(0.05) - np.log(0.5), abs=1e-6)


@pytest.mark.parametrize(
    ("heatmap", "scale"),
    [(-make_bump(5, 5), "max"), (np.full(BOX_SIZE, 0.3, np.float32), "min-max")],
)
def test_crop_of_a_map_that_marks_nothing_is_the_whole_image(heatmap, scale):
    score = judge_with_net(SaliencyMetric(scale=scale), brightness, BOX_IMAGE, heatmap)
    assert score.details["marks_nothing"]
    assert score.value == pytest.approx(-np.log(BOX_IMAGE.mean()), abs=1e-6)


def test_probability_of_zero_gives_a_finite_value_and_is_counted():
    metric, black = SaliencyMetric(grid=False), np.zeros_like(BOX_IMAGE)
    score = judge_with_net(metric, brightness, black, make_bump(5, 5))
    assert score.value < 50
    assert score.details["clipped"] == 1


def test_equal_boxes_are_scored_once():
    calls = []

    def count_images(images):
        calls.append(len(images))
        return brightness(images)

    heatmap = make_box_mask([OBJECT], BOX_SIZE).astype(np.float32)
    judge_with_net(SaliencyMetric(), count_images, BOX_IMAGE, heatmap)
    assert sum(calls) == 1


def test_crop_keeps_its_last_row_and_column():
    image = np.zeros((*BOX_SIZE, 3), np.float32)
    image[8, 3:12] = 1
    assert crop_and_enlarge(image, Box(8, 3, 9, 12)).min() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(crop_and_enlarge(image, Box(0, 0, *BOX_SIZE)), image, atol=1e-6)


def test_crop_surrounds_all_pixels_or_the_largest_component():
    heatmap = make_box_mask([OBJECT], BOX_SIZE).astype(np.float32)
    heatmap[0, 0] = 1
    flat = np.full_like(BOX_IMAGE, 0.5)  # every crop scores the same: the area alone decides
    small, large = (
        judge_with_net(SaliencyMetric(around=around), brightness, flat, heatmap).value
        for around in ("largest", "all")
    )
    assert large - small == pytest.approx(np.log(9 * 12 / (7 * 9)), abs=1e-4)
    metric = SaliencyMetric(around="largest", smallest_area=0.9)
    floor = judge_with_net(metric, brightness, flat, heatmap)
    assert floor.value == pytest.approx(np.log(0.9 / 0.5), abs=1e-4)
