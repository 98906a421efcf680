import numpy as np
import pytest
from scipy import stats

from onnxplain.metrics.base import MetricResult
from onnxplain.metrics.stability.parameter_sweeps import (
    SWEEPS,
    average_over_images,
    rank_correlations,
    sensitivity,
)
from onnxplain.metrics.stability.similarity import Spearman

RNG = np.random.default_rng(11)


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


def test_undefined_pairs_are_counted_and_left_out():
    maps = [np.zeros((3, 3)), np.eye(3), np.eye(3)]
    score = sensitivity(Spearman(), maps)
    assert score.details["pairs"] == [None, None, 1.0]
    assert score.details["undefined"] == 2
    assert score.value == 1
    assert np.isnan(sensitivity(Spearman(), maps[:1] * 2).value)


def test_images_are_combined_as_mean_of_means_and_root_of_the_mean_variance():
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


def test_sweeps_have_the_papers_parameters():
    sp, lime, mp2 = SWEEPS["sp"], SWEEPS["lime-150"], SWEEPS["mp2"]
    assert [variant["patch"] for variant in sp.variants] == [5, 17, 29, 41, 53]
    assert (lime.seeds, lime.variants[0]["n_segments"]) == ((0, 1, 2, 3, 4), 150)
    assert [variant["grid"] for variant in mp2.variants] == [28, 56, 112]


def test_rank_correlations_of_fills_are_a_symmetric_table():
    maps = {"grey": np.eye(4), "blur": np.arange(16.0).reshape(4, 4), "flat": np.zeros((4, 4))}
    table = rank_correlations(maps)
    assert table["grey"]["grey"] == 1
    assert table["grey"]["blur"] == table["blur"]["grey"]
    assert np.isnan(table["flat"]["grey"])
