import numpy as np
import pytest

from onnxplain import metrics
from onnxplain.core.data import Box, Case, make_rng
from onnxplain.engine.run import Job, run
from onnxplain.methods import SP
from onnxplain.metrics.fills.off_object import OffObjectChange, find_patches_outside
from tests.helpers.metrics import brightness, brightness_inside, judge_with_net
from tests.helpers.nets import Net, Picture

SIZE = (16, 18)
IMAGE = np.random.default_rng(21).random((*SIZE, 3), np.float32)
OBJECT = Box(4, 5, 12, 13)


def test_only_patches_that_share_no_pixel_with_the_object_are_outside():
    corners = np.array([[r, c] for r in range(14) for c in range(16)])
    outside = find_patches_outside(corners, 3, [OBJECT, Box(0, 0, 1, 1)])
    for (row, column), is_outside in zip(corners, outside, strict=True):
        covered = {(row + i, column + j) for i in range(3) for j in range(3)}
        inside = {(r, c) for r in range(4, 12) for c in range(5, 13)} | {(0, 0)}
        assert is_outside == (not covered & inside)


def test_score_that_sees_only_the_object_does_not_change_outside():
    metric = OffObjectChange(patch=3, stride=1)
    score = judge_with_net(
        metric, brightness_inside, IMAGE, None, boxes=[OBJECT], fill=Picture(0.5)
    )
    assert score.value == pytest.approx(0, abs=1e-6)
    assert score.details["positions"] > 50


def test_off_object_change_is_the_mean_of_the_drops_that_sp_measures():
    metric = OffObjectChange(patch=3, stride=2)
    score = judge_with_net(metric, brightness, IMAGE, None, boxes=[OBJECT], fill=Picture(0.5))
    case = Case("photo", IMAGE, 1)
    flow = SP(patch=3, stride=2).flow(case, make_rng(0))
    (outcome,) = run(Net(brightness, SIZE), [Job((case,), (flow,), Picture(0.5))])
    drops = outcome.values[0].coarse
    corners = np.stack(np.indices(drops.shape), axis=-1).reshape(-1, 2) * 2
    outside = find_patches_outside(corners, 3, [OBJECT])
    assert score.value == pytest.approx(np.abs(drops.ravel()[outside]).mean(), abs=1e-6)


def test_object_that_fills_the_image_leaves_no_position():
    metric, everywhere = OffObjectChange(patch=3), Box(0, 0, 16, 18)
    score = judge_with_net(metric, brightness, IMAGE, None, boxes=[everywhere])
    assert np.isnan(score.value)


def test_patch_larger_than_the_image_is_an_error():
    with pytest.raises(ValueError, match="off-object: patch must fit"):
        metrics.off_object_change(brightness, IMAGE, 1, boxes=[OBJECT], patch=17)
