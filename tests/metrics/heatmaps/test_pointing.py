import numpy as np
import pytest

from onnxplain.metrics.heatmaps.pointing import PointingGame, pointing_accuracy
from tests.helpers.metrics import (
    BOX_IMAGE,
    BOX_SIZE,
    OBJECT,
    brightness,
    judge_with_net,
    make_bump,
)


@pytest.mark.parametrize(("column", "hits"), [(7, 1), (11, 1), (13, 1), (14, 0)])
def test_maximum_may_miss_by_the_tolerance(column, hits):
    metric = PointingGame(tolerance=2)
    heatmap = make_bump(5, column)
    assert judge_with_net(metric, brightness, BOX_IMAGE, heatmap, boxes=[OBJECT]).value == hits


def test_shared_maxima_count_in_equal_parts():
    heatmap = np.zeros(BOX_SIZE, np.float32)
    metric = PointingGame(tolerance=0)
    score = judge_with_net(metric, brightness, BOX_IMAGE, heatmap, boxes=[OBJECT])
    assert score.value == pytest.approx(63 / 180)
    assert score.details["chance"] == pytest.approx(63 / 180)


def test_random_maps_hit_as_often_as_the_chance_in_the_details():
    rng = np.random.default_rng(0)
    metric = PointingGame(tolerance=1)
    scores = [
        judge_with_net(
            metric, brightness, BOX_IMAGE, rng.random(BOX_SIZE, np.float32), boxes=[OBJECT]
        )
        for _ in range(300)
    ]
    chance = scores[0].details["chance"]
    # Four standard errors of 300 draws.
    spread = 4 * np.sqrt(chance * (1 - chance) / 300)
    assert np.mean([score.value for score in scores]) == pytest.approx(chance, abs=spread)


def test_pointing_accuracy_weighs_classes_and_not_images():
    assert pointing_accuracy([1, 1, 1, 0], [4, 4, 4, 8]) == 0.5
    with pytest.raises(ValueError, match="one class per hit"):
        pointing_accuracy([1], [])
