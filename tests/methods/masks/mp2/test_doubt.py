import numpy as np
import pytest

from onnxplain.methods.masks.mp2.doubt import Doubt


def test_an_untried_cell_is_in_a_doubt_of_one_scale_and_a_tried_one_in_none():
    doubt = Doubt(3)
    doubt.settle(range(8), np.array([3.0, -3, 3, -3, 3, -3, 3, -3]))  # the first scale, at once
    np.testing.assert_allclose(doubt.estimate(), [0] * 8 + [3])


def test_doubt_falls_as_one_over_the_distance_and_its_squares_add_up():
    doubt = Doubt(4)
    doubt.settle(range(16), np.full(16, 2.0))
    doubt.learn_scale()
    doubt.grow([0])
    distance = np.array([[1, 1, 2, 3], [1, 1, 2, 3], [2, 2, 2, 3], [3, 3, 3, 3]])
    np.testing.assert_allclose(doubt.estimate(), 2 / distance.ravel())
    doubt.grow([15])
    both = np.hypot(2 / distance, 2 / distance[::-1, ::-1]).ravel()
    np.testing.assert_allclose(doubt.estimate(), both)
    doubt.settle([5], np.array([1.0]))
    assert doubt.estimate()[5] == 0


def test_the_scale_is_learned_from_gaps_in_units_of_doubt_and_the_past_counts_for_half():
    doubt = Doubt(5)
    doubt.settle(range(25), np.full(25, 4.0))
    doubt.learn_scale()
    doubt.grow([0])
    # 2 and 4 cells away: squares of the doubt of 1/4 and 1/16 in units of the scale.
    doubt.settle([2, 24], np.array([3.0, 1.0]))
    doubt.learn_scale()
    scale = np.sqrt((4.0**2 + (9 + 1) / (1 / 4 + 1 / 16)) / 2)
    assert doubt.estimate()[1] == pytest.approx(scale)
    doubt.learn_scale()  # nothing was tried: the scale stays
    assert doubt.estimate()[1] == pytest.approx(scale)
