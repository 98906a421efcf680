import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from skimage.feature import hog
from skimage.metrics import structural_similarity

from onnxplain.metrics.base import MetricResult
from onnxplain.metrics.stability.sanity import ClassSensitivity, InputInvariance, Randomisation
from onnxplain.metrics.stability.similarity import SSIM, HOGCorrelation, Spearman, scale_to_unit
from onnxplain.metrics.stability.sweeps import (
    SWEEPS,
    average_over_images,
    rank_correlations,
    sensitivity,
)

RNG = np.random.default_rng(11)
FIRST, SECOND = RNG.normal(size=(2, 224, 224)).cumsum(axis=2).cumsum(axis=1) / 500
MAPS = arrays(np.float64, (9, 8), elements=st.integers(-4, 4).map(float))
ALL = (SSIM(), HOGCorrelation(), Spearman())


def test_ssim_is_scikit_images():
    expected = structural_similarity(FIRST, SECOND, win_size=5, data_range=2.0)
    assert SSIM().compare(FIRST, SECOND) == pytest.approx(expected, abs=1e-12)


def test_hog_correlation_is_pearsons_over_11664_features():
    a, b = (hog(each, pixels_per_cell=(16, 16)) for each in (FIRST, SECOND))
    assert len(a) == 11664
    expected = stats.pearsonr(a, b).statistic
    assert HOGCorrelation().compare(FIRST, SECOND) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(MAPS, MAPS)
def test_spearman_is_scipys(first, second):
    value = Spearman().compare(first, second)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert np.isnan(value)
    else:
        expected = stats.spearmanr(first, second, axis=None).statistic
        assert value == pytest.approx(expected, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(arrays(np.float64, (48, 50), elements=st.floats(-1, 1, width=32)), st.integers(0, 99))
def test_similarities_are_symmetric_bounded_and_one_for_equal_maps(first, seed):
    second = np.random.default_rng(seed).uniform(-1, 1, first.shape)
    for metric in ALL:
        value = metric.compare(first, second)
        if np.isfinite(value):
            assert -1 <= value <= 1
            assert value == pytest.approx(metric.compare(second, first), abs=1e-9)
        assert metric.compare(second, second) == pytest.approx(1, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(MAPS)
def test_spearman_sees_only_the_order(heatmap):
    other = np.arange(heatmap.size, dtype=float).reshape(heatmap.shape)
    plain, risen = (Spearman().compare(each, other) for each in (heatmap, heatmap**3 * 2 + 1))
    assert plain == pytest.approx(risen, abs=1e-12, nan_ok=True)


def test_inverted_maps_have_opposite_ranks():
    assert Spearman().compare(FIRST, -FIRST) == pytest.approx(-1)


def test_scaling_divides_by_the_largest_absolute_value():
    np.testing.assert_array_equal(scale_to_unit([[1.0, -4.0]]), [[0.25, -1.0]])
    np.testing.assert_array_equal(scale_to_unit(np.zeros((2, 2))), np.zeros((2, 2)))


@pytest.mark.parametrize("metric", ALL)
def test_maps_of_two_shapes_are_refused(metric):
    with pytest.raises(ValueError, match="one shape"):
        metric.compare(np.zeros((60, 60)), np.zeros((60, 61)))


def test_of_maps_too_small_for_a_window_or_a_block_the_likeness_is_not_defined():
    assert np.isnan(SSIM().compare(RNG.random((4, 9)), RNG.random((4, 9))))
    assert np.isfinite(SSIM().compare(RNG.random((5, 9)), RNG.random((5, 9))))
    assert np.isnan(HOGCorrelation().compare(RNG.random((47, 60)), RNG.random((47, 60))))
    assert np.isfinite(HOGCorrelation().compare(RNG.random((48, 60)), RNG.random((48, 60))))


def test_a_window_is_odd():
    with pytest.raises(ValueError, match="odd"):
        SSIM(window=4)


def test_five_maps_make_ten_pairs_and_three_make_three():
    maps = RNG.random((5, 6, 7))
    score = sensitivity(Spearman(), maps)
    expected = [
        stats.spearmanr(maps[i], maps[j], axis=None).statistic
        for i in range(5)
        for j in range(i + 1, 5)
    ]
    np.testing.assert_allclose(score.details["pairs"], expected, atol=1e-12)
    assert score.value == pytest.approx(np.mean(expected))
    assert score.details["deviation"] == pytest.approx(np.std(expected))
    assert len(sensitivity(Spearman(), maps[:3]).details["pairs"]) == 3
    with pytest.raises(ValueError, match="two maps"):
        sensitivity(Spearman(), maps[:1])


def test_pairs_without_a_value_are_counted_and_left_out():
    maps = [np.zeros((3, 3)), np.eye(3), np.eye(3)]
    score = sensitivity(Spearman(), maps)
    assert score.details["pairs"] == [None, None, 1.0]
    assert score.details["undefined"] == 2
    assert score.value == 1
    assert np.isnan(sensitivity(Spearman(), maps[:1] * 2).value)


def test_a_table_is_the_mean_of_means_and_the_root_of_the_mean_variance():
    scores = [
        MetricResult(0.5, {"deviation": 0.3, "undefined": 0}),
        MetricResult(0.7, {"deviation": 0.1, "undefined": 2}),
        MetricResult(float("nan"), {"deviation": None, "undefined": 3}),
    ]
    table = average_over_images(scores)
    assert table.value == pytest.approx(0.6)
    assert table.details["deviation"] == pytest.approx(np.sqrt((0.09 + 0.01) / 2))
    assert table.details["undefined"] == 5
    assert table.details["left_out"] == 1
    with pytest.raises(ValueError, match="none of the 1"):
        average_over_images(scores[2:])


def test_the_sweeps_are_the_papers():
    sp, lime, mp2 = SWEEPS["sp"], SWEEPS["lime-150"], SWEEPS["mp2"]
    assert [variant["patch"] for variant in sp.variants] == [5, 17, 29, 41, 53]
    assert (lime.seeds, lime.variants[0]["n_segments"]) == ((0, 1, 2, 3, 4), 150)
    assert [variant["grid"] for variant in mp2.variants] == [28, 56, 112]


def test_the_audit_of_fills_is_a_symmetric_table():
    maps = {"grey": np.eye(4), "blur": np.arange(16.0).reshape(4, 4), "flat": np.zeros((4, 4))}
    table = rank_correlations(maps)
    assert table["grey"]["grey"] == 1
    assert table["grey"]["blur"] == table["blur"]["grey"]
    assert np.isnan(table["flat"]["grey"])


def test_a_map_that_ignores_the_class_is_not_sensitive_to_it():
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
