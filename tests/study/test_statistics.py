"""Intervals and tests, against SciPy and plain enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from onnxplain.study import statistics
from onnxplain.study.statistics import adjust_by_holm, confidence_interval, sign_flip_test


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_interval_is_scipys_percentile_bootstrap():
    values = rng().gamma(2, size=60)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", random_state=1
    ).confidence_interval
    # Two draws of 10,000 resamples differ by a few hundredths of the interval's width.
    width = theirs.high - theirs.low
    assert confidence_interval(values, rng()) == pytest.approx(
        (theirs.low, theirs.high), abs=0.05 * width
    )


def test_interval_of_equal_values_is_a_point():
    assert confidence_interval([3.0], rng()) == (3.0, 3.0)
    assert confidence_interval([2.0] * 9, rng()) == (2.0, 2.0)


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
    theirs = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert sign_flip_test(differences, rng()) == pytest.approx(theirs)


def test_many_differences_are_near_the_t_test():
    differences = rng().normal(0.15, 1, 200)
    theirs = scipy.stats.ttest_1samp(differences, 0).pvalue
    # 0.03 is over ten deviations of a share of 10,000 draws; the t-test is an approximation.
    assert sign_flip_test(differences, rng()) == pytest.approx(theirs, abs=0.03)


def test_no_difference_is_no_evidence():
    assert sign_flip_test(np.zeros(40), rng()) == 1
    assert sign_flip_test(np.zeros(3), rng()) == 1


def test_clear_difference_has_the_smallest_possible_p_value():
    assert sign_flip_test(np.ones(40), rng()) == pytest.approx(1 / 10_001)
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
