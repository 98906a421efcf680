import numpy as np
import pytest
from scipy import stats

from onnxplain.metrics.stability.sanity import ClassSensitivity, InputInvariance, Randomisation
from tests.helpers.metrics import make_two_maps

FIRST, SECOND = make_two_maps()


def test_map_that_ignores_the_class_has_a_correlation_of_one():
    assert ClassSensitivity().compare(FIRST, FIRST) == pytest.approx(1)
    assert ClassSensitivity().compare(FIRST, -FIRST) == pytest.approx(-1)


def test_invariance_is_the_largest_difference():
    other = FIRST.copy()
    other[3, 4] += 0.25
    assert InputInvariance().compare(FIRST, other) == pytest.approx(0.25)
    assert InputInvariance().compare(FIRST, FIRST) == 0


def test_randomisation_reports_every_depth():
    score = Randomisation().judge(FIRST, [FIRST, SECOND, -FIRST])
    expected = stats.spearmanr(FIRST, SECOND, axis=None).statistic
    np.testing.assert_allclose(score.details["spearman"], [1, expected, -1], atol=1e-9)
    assert score.value == pytest.approx(expected / 3)
    assert score.details["ssim"][0] == pytest.approx(1)
    with pytest.raises(ValueError, match="one randomised map"):
        Randomisation().judge(FIRST, [])


def test_constant_map_of_a_randomised_model_is_counted_and_left_out():
    score = Randomisation().judge(FIRST, [SECOND, np.ones_like(FIRST)])
    expected = stats.spearmanr(FIRST, SECOND, axis=None).statistic
    assert score.value == pytest.approx(expected)
    assert score.details["spearman"][1] is None
    assert score.details["undefined"] == 1
    assert np.isnan(Randomisation().judge(FIRST, [0 * FIRST]))
