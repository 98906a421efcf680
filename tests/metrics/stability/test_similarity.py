import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from skimage.feature import hog
from skimage.metrics import structural_similarity

from onnxplain.metrics.stability.similarity import SSIM, HOGCorrelation, Spearman, scale_to_unit
from tests.helpers.metrics import make_two_maps

FIRST, SECOND = make_two_maps()
RNG = np.random.default_rng(11)
MAPS = arrays(np.float64, (9, 8), elements=st.integers(-4, 4).map(float))
ALL = (SSIM(), HOGCorrelation(), Spearman())


def test_ssim_equals_scikit_images():
    expected = structural_similarity(FIRST, SECOND, win_size=5, data_range=2.0)
    assert SSIM().compare(FIRST, SECOND) == pytest.approx(expected, abs=1e-12)


def test_hog_correlation_is_pearsons_over_11664_features():
    a, b = (hog(heatmap, pixels_per_cell=(16, 16)) for heatmap in (FIRST, SECOND))
    assert len(a) == 11664
    expected = stats.pearsonr(a, b).statistic
    assert HOGCorrelation().compare(FIRST, SECOND) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(MAPS, MAPS)
def test_spearman_equals_scipys(first, second):
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
    plain, increased = (
        Spearman().compare(values, other) for values in (heatmap, heatmap**3 * 2 + 1)
    )
    assert plain == pytest.approx(increased, abs=1e-12, nan_ok=True)


def test_inverted_maps_have_opposite_ranks():
    assert Spearman().compare(FIRST, -FIRST) == pytest.approx(-1)


def test_scaling_divides_by_the_largest_absolute_value():
    np.testing.assert_array_equal(scale_to_unit([[1.0, -4.0]]), [[0.25, -1.0]])
    np.testing.assert_array_equal(scale_to_unit(np.zeros((2, 2))), np.zeros((2, 2)))


@pytest.mark.parametrize("metric", ALL)
def test_maps_of_two_shapes_are_an_error(metric):
    with pytest.raises(ValueError, match="one shape"):
        metric.compare(np.zeros((60, 60)), np.zeros((60, 61)))


def test_similarity_of_maps_smaller_than_a_window_or_a_block_is_not_defined():
    assert np.isnan(SSIM().compare(RNG.random((4, 9)), RNG.random((4, 9))))
    assert np.isfinite(SSIM().compare(RNG.random((5, 9)), RNG.random((5, 9))))
    assert np.isnan(HOGCorrelation().compare(RNG.random((47, 60)), RNG.random((47, 60))))
    assert np.isfinite(HOGCorrelation().compare(RNG.random((48, 60)), RNG.random((48, 60))))


def test_window_must_be_odd():
    with pytest.raises(ValueError, match="odd"):
        SSIM(window=4)
