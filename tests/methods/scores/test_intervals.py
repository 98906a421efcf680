import math

import numpy as np
import pytest
import scipy.stats

from onnxplain.methods.scores.intervals import (
    Estimate,
    InterimLook,
    describe_precision,
    find_quantile,
    fit_least_squares,
    fit_pairs,
    is_narrow,
    leave_out_replicates,
    plan_looks,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 4))
Y = RNG.standard_normal(30)
W = RNG.random(30)


def compute_hc3(x, y, weights, penalty, groups):
    """HC3 row by row, of MacKinnon & White's definition; the rows of a group are added first."""
    inverse = np.linalg.inv(x.T @ np.diag(weights) @ x + np.diag(penalty))
    beta = inverse @ x.T @ (weights * y)
    pulls = {}
    for i in range(len(x)):
        leverage = weights[i] * x[i] @ inverse @ x[i]
        pull = x[i] * weights[i] * (y[i] - x[i] @ beta) / (1 - leverage)
        pulls[groups[i]] = pulls.get(groups[i], 0) + pull
    return beta, inverse @ sum(np.outer(pull, pull) for pull in pulls.values()) @ inverse


@pytest.mark.parametrize("penalty", [np.zeros(4), np.array([1.0, 1.0, 2.0, 0.0])])
@pytest.mark.parametrize("groups", [np.arange(30), np.arange(30) // 2])
def test_coefficients_and_covariance_are_those_of_the_definition(penalty, groups):
    beta, covariance = compute_hc3(X, Y, W, penalty, groups)
    fit = fit_least_squares(X, Y, weights=W, penalty=penalty, groups=groups)
    np.testing.assert_allclose(fit.values, beta)
    np.testing.assert_allclose(fit.covariance, covariance)
    np.testing.assert_allclose(fit.errors, np.sqrt(np.diag(covariance)))


def test_a_row_that_decides_a_coefficient_alone_leaves_its_error_unknown():
    x = np.concatenate([X, np.zeros((30, 1))], axis=1)
    x[0, 4] = 1
    assert np.isinf(fit_least_squares(x, Y).errors).all()
    assert np.isinf(fit_least_squares(X[:4], Y[:4]).errors).all()


def test_values_with_a_total_are_the_least_squares_under_that_constraint():
    signs, y = np.sign(X), 3 * Y
    fit = fit_pairs(signs, y, weights=W, total=2.0)
    assert fit.values.sum() == pytest.approx(2)
    # Lagrange's equations of the same problem
    system = np.block([[signs.T @ (W[:, None] * signs), np.ones((4, 1))], [np.ones(4), 0]])
    expected = np.linalg.solve(system, np.append(signs.T @ (W * y), 2.0))[:4]
    np.testing.assert_allclose(fit.values, expected)
    np.testing.assert_allclose(fit.covariance.sum(axis=0), 0, atol=1e-12)  # the sum is certain


def test_leaving_out_replicates_gives_the_usual_error_of_a_mean():
    means = RNG.random((5, 3))
    errors = leave_out_replicates(lambda chosen: means[chosen].mean(axis=0), 5)
    np.testing.assert_allclose(errors, means.std(axis=0, ddof=1) / np.sqrt(5))


def test_quantiles_are_those_of_scipy():
    assert find_quantile(0.975, math.inf) == pytest.approx(scipy.stats.norm.ppf(0.975))
    assert find_quantile(0.975, 2) == pytest.approx(scipy.stats.t.ppf(0.975, 2))
    assert find_quantile(0.975, 0) == math.inf


def test_looks_double_and_spend_the_error_in_halves():
    assert plan_looks(128, 384, None) == [InterimLook(384, pytest.approx(0.05))]
    looks = plan_looks(128, 600, 0.1)
    assert [look.n for look in looks] == [128, 256, 512, 600]
    np.testing.assert_allclose([look.alpha for look in looks], [0.025, 0.0125, 0.00625, 0.003125])
    assert [look.n for look in plan_looks(128, 50, 0.1)] == [50]


def test_precision_tells_the_width_and_the_cost_of_less():
    estimate = Estimate(np.array([0.0, 0.5, 1.0]), np.array([0.01, 0.05, 0.02]))
    look = InterimLook(400, 0.05)
    width = scipy.stats.norm.ppf(1 - 0.05 / 6) * 0.05
    details = describe_precision(estimate, look, 0.05)
    assert details["half_width"] == details["relative_half_width"] == pytest.approx(width)
    assert details["more_evaluations"] == {
        "0.1": math.ceil(400 * (width / 0.1) ** 2) - 400,
        "0.05": math.ceil(400 * (width / 0.05) ** 2) - 400,
        "0.02": math.ceil(400 * (width / 0.02) ** 2) - 400,
    }
    assert details["stopped"] == "limit"
    assert is_narrow(estimate, look, 0.15)
    assert not is_narrow(estimate, look, 0.1)
    assert not is_narrow(estimate, look, None)
