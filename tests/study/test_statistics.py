"""Intervals and tests, against SciPy and plain enumeration."""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from onnxplain.study import statistics
from onnxplain.study.statistics import (
    adjust_by_holm,
    combine_groups,
    confidence_interval,
    sign_flip_test,
)

SIGNS = [list(itertools.product((-1, 1), repeat=n)) for n in range(10)]


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def bootstrap_bca(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Compute Efron's BCa interval of the mean by its formulas (1987, sec. 3)."""
    draws = np.random.default_rng(1).integers(0, len(values), (200_000, len(values)))
    means = np.sort(values[draws].mean(axis=1))
    normal = scipy.stats.norm
    bias = normal.ppf((means < values.mean()).mean())
    left_out = (values.sum() - values) / (len(values) - 1)
    spread = left_out.mean() - left_out
    acceleration = (spread**3).sum() / (6 * (spread**2).sum() ** 1.5)
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + normal.ppf(tail)
        ends.append(np.quantile(means, normal.cdf(bias + z / (1 - acceleration * z))))
    return ends[0], ends[1]


@pytest.mark.parametrize("n", [8, 20, 60])
def test_interval_is_efrons(n: int):
    values = rng().gamma(2, size=n)
    low, high = bootstrap_bca(values)
    # Two draws of resamples differ by a few hundredths of the interval's width.
    ends = confidence_interval(values, rng())
    assert ends == pytest.approx((low, high), abs=0.05 * (high - low))


def test_short_intervals_contain_the_mean_more_often_than_plain_percentiles():
    draw = rng()
    n_inside, n_plain, n_trials = 0, 0, 200
    for _ in range(n_trials):
        values = draw.gamma(0.5, 2, size=15)  # mean 1, skewed
        low, high = confidence_interval(values, draw)
        n_inside += low <= 1 <= high
        means = values[draw.integers(0, 15, (2000, 15))].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        n_plain += low <= 1 <= high
    assert n_inside > n_plain
    assert n_inside / n_trials > 0.84


def test_interval_of_many_values_is_that_of_the_percentiles():
    values = rng().gamma(2, size=1500)
    theirs = np.quantile(
        values[np.random.default_rng(3).integers(0, 1500, (4000, 1500))].mean(axis=1),
        [0.025, 0.975],
    )
    ends = confidence_interval(values, rng())
    assert ends == pytest.approx(tuple(theirs), abs=0.05 * np.ptp(theirs))


def test_interval_of_equal_values_is_a_point():
    assert confidence_interval([2.0] * 9, rng()) == (2.0, 2.0)


def test_one_value_has_no_interval():
    assert np.isnan(confidence_interval([3.0], rng())).all()


def test_interval_moves_and_stretches_with_the_values():
    """Also where they differ by rounding alone, and SciPy's jackknife divides 0 by 0."""
    values = np.array([0.0, 0, 0, 0, 1, 0, 2])
    low, high = confidence_interval(values, rng())
    step = np.spacing(0.5)
    ends = confidence_interval(0.5 + step * values, rng())
    assert ends == pytest.approx((0.5 + step * low, 0.5 + step * high), abs=step)
    assert 0.5 <= ends[0] <= ends[1]
    ends = confidence_interval(1e-200 * values, rng())
    assert ends == pytest.approx((1e-200 * low, 1e-200 * high), abs=0, rel=1e-9)


def test_mean_of_groups_scatters_as_the_mean_of_their_values():
    """Against resampling whole groups: the mean is then a ratio of sums."""
    draw = rng()
    sizes = draw.integers(1, 5, 60)
    groups = np.repeat(np.arange(60), sizes)
    values = draw.normal(size=60)[groups] + 0.3 * draw.normal(size=len(groups))
    combined = combine_groups(values.tolist(), groups.tolist(), values.mean())
    assert combined.mean() == pytest.approx(values.mean())
    sums = np.bincount(groups, values)
    taken = draw.integers(0, 60, (20_000, 60))
    drawn = np.quantile(sums[taken].sum(axis=1) / sizes[taken].sum(axis=1), [0.025, 0.975])
    ends = confidence_interval(combined, rng())
    # The expansion leaves out terms of the order of 1 / 60.
    assert ends == pytest.approx(tuple(drawn), abs=0.1 * np.ptp(drawn))
    alone = confidence_interval(values, rng())
    assert np.ptp(ends) > 1.4 * np.ptp(alone)


def test_interval_does_not_depend_on_how_many_numbers_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch,
):
    values = rng().normal(size=50)
    whole = confidence_interval(values, rng())
    monkeypatch.setattr(statistics, "_NUMBERS", 777)
    assert confidence_interval(values, rng()) == whole


def test_few_differences_try_every_combination_of_signs():
    differences = rng().normal(0.4, 1, 9)
    combinations = itertools.product((-1, 1), repeat=9)
    sums = np.array([abs(np.dot(signs, differences)) for signs in combinations])
    expected = np.mean(sums >= abs(differences.sum()) - 1e-12)
    assert sign_flip_test(differences, rng()) == pytest.approx(expected)


@pytest.mark.parametrize("n", range(1, 10))
def test_sums_that_rounding_parts_are_equal(n: int):
    """Decimals have many equal sums; fractions count them exactly."""
    draw = np.random.default_rng(n)
    for _ in range(10):
        tenths = draw.integers(-8, 9, n).tolist()
        sums = [sum(map(operator.mul, signs, tenths)) for signs in SIGNS[n]]
        n_low, n_high = (
            sum(compare(total, sum(tenths)) for total in sums)
            for compare in (operator.le, operator.ge)
        )
        p = sign_flip_test([tenth / 10 for tenth in tenths], rng())
        assert p == min(2 * min(n_low, n_high) / 2**n, 1)


def test_many_differences_are_near_the_t_test():
    differences = rng().normal(0.15, 1, 200)
    theirs = scipy.stats.ttest_1samp(differences, 0).pvalue
    # 0.03 is over ten deviations of a share of 10,000 draws; the t-test is an approximation.
    assert sign_flip_test(differences, rng()) == pytest.approx(theirs, abs=0.03)


@pytest.mark.parametrize("n", [14, 16, 33, 300])
def test_drawn_signs_are_those_of_scipys_permutation_test(n: int):
    differences = rng().exponential(size=n) - 0.95
    theirs = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng()
    ).pvalue
    p = sign_flip_test(differences, rng())
    assert 0.001 < p < 0.999
    assert abs(p - theirs) < 4 * (p * (1 - p) * (1 / 10_000 + 1 / 20_000)) ** 0.5


def test_no_difference_is_no_evidence():
    assert sign_flip_test(np.zeros(40), rng()) == 1
    assert sign_flip_test(np.zeros(3), rng()) == 1
    assert sign_flip_test([0.7], rng()) == 1


def test_clear_difference_has_the_smallest_possible_p_value():
    assert sign_flip_test(np.ones(40), rng()) == pytest.approx(2 / 10_001)
    assert sign_flip_test(np.ones(5), rng()) == pytest.approx(2 / 32)


def test_holm_rejects_what_the_step_down_procedure_rejects():
    p_values = [0.011, 0.02, 0.001, 0.6, 0.02]
    for level in (0.005, 0.03, 0.05, 0.07, 0.1):
        rejected = set()
        for rank, i in enumerate(np.argsort(p_values, kind="stable")):
            if p_values[i] > level / (len(p_values) - rank):
                break
            rejected.add(int(i))
        assert {i for i, p in enumerate(adjust_by_holm(p_values)) if p <= level} == rejected
    assert adjust_by_holm([]) == []


SHAPES = {
    "skewed": lambda draw, n: draw.exponential(size=n) - 0.97,
    "very skewed": lambda draw, n: draw.gamma(0.1, size=n) - 0.09,
    "hits and misses": lambda draw, n: (draw.random(n) < 0.1) * 1 - (draw.random(n) < 0.09),
    "heavy tails": lambda draw, n: draw.standard_t(5, size=n) + 0.03,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_closed_forms_of_many_values_agree_with_resampling(shape: str):
    n = 1200
    values = np.asarray(SHAPES[shape](np.random.default_rng(5), n), float)
    closed = confidence_interval(values, rng())
    p = sign_flip_test(values, rng())
    draw, means, sums = np.random.default_rng(8), [], []
    for _ in range(20):  # 10,000 resamples
        means.append(values[draw.integers(0, n, (500, n), np.int32)].mean(axis=1))
        sums.append((2 * draw.integers(0, 2, (500, n), np.int8) - 1) @ values)
    drawn = np.quantile(np.ravel(means), [0.025, 0.975])
    # Ends that are drawn scatter by 0.02 to 0.03 of the mean's standard error.
    np.testing.assert_allclose(closed, drawn, atol=0.09 * values.std() / n**0.5)
    p_drawn = np.mean(np.abs(sums) >= abs(values.sum()) - 1e-9)
    assert 0.001 < p < 0.999
    assert abs(p - p_drawn) < 4 * (p * (1 - p) / 10_000) ** 0.5


def test_few_hits_among_many_misses_are_drawn():
    values = np.zeros(2000)
    values[:3] = 1
    low, high = confidence_interval(values, rng())
    assert low == 0  # a normal interval would begin below 0
    assert high == pytest.approx(7 / 2000, abs=1.1 / 2000)  # Poisson, mean 3: 97.5 % are up to 7
    assert sign_flip_test(values, rng()) == 2 / 2**3
