"""Least squares with intervals that need no linear model, and when to stop sampling.

The sandwich covariance HC3 [1]_ is valid whatever the score does between the cells. Intervals
are simultaneous over the cells (Bonferroni). A run that looks at its intervals to decide whether
to go on spends a part of the permitted error at each look, so that they hold at any stop.

References
----------
.. [1] MacKinnon & White, Some heteroskedasticity-consistent covariance matrix estimators with
   improved finite sample properties, Journal of Econometrics 29 (1985), eq. 12
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
COVERAGE = 0.95  # of all intervals of a map at once
FIRST_LOOK = 128  # evaluations; then at twice as many, and so on
RESOLUTION = 1e-7  # of scores, which are float32: no interval need be narrower
TOLERANCES = (0.2, 0.1, 0.05, 0.02)  # results tell what these would cost


@dataclass(frozen=True, eq=False)
class Fit:
    """Coefficients of a regression (p,), their covariance (p, p), and its degrees of freedom."""

    values: Array
    covariance: Array
    degrees: float

    @property
    def errors(self) -> Array:
        """The standard errors of the coefficients."""
        errors: Array = np.sqrt(np.diag(self.covariance))
        return errors


@dataclass(frozen=True, eq=False)
class Estimate:
    """Values of the cells (d,), their standard errors (d,), and the errors' degrees of freedom."""

    values: Array
    errors: Array
    degrees: float = math.inf

    @property
    def span(self) -> float:
        """The range of the values."""
        return float(np.ptp(self.values))

    def find_half_widths(self, alpha: float) -> Array:
        """Return the half-widths (d,) of intervals that all hold but for a chance of `alpha`."""
        if not self.errors.any():
            return self.errors  # exact
        return find_quantile(1 - alpha / (2 * len(self.values)), self.degrees) * self.errors


@dataclass(frozen=True)
class InterimLook:
    """A moment at which a run may stop: evaluations so far, and the error spent on it."""

    n: int
    alpha: float


def fit_least_squares(
    x: Array,
    y: Array,
    *,
    weights: Array | None = None,
    penalty: Array | None = None,
    groups: NDArray[np.intp] | None = None,
) -> Fit:
    """Minimise ``sum_i w_i (y_i - x_i b)^2 + sum_j penalty_j b_j^2``, with the covariance HC3.

    Parameters
    ----------
    x : (N, p) ndarray of float64
        The design; it holds no intercept unless a column is one.
    y, weights : (N,) ndarray of float64
        What is fitted, and the weight of each row; 1 if not given.
    penalty : (p,) ndarray of float64, optional
        Of the squares of the coefficients. The covariance is that of the shrunken coefficients.
    groups : (N,) ndarray of int, optional
        Rows with the same number were drawn together, such as a set of cells and the others.

    Returns
    -------
    fit : Fit
        The covariance is infinite where a row decides a coefficient alone, as it then has no
        residual from which its error could be learnt.
    """
    weighted = x if weights is None else x * weights[:, None]
    gram = weighted.T @ x + (0.0 if penalty is None else np.diag(penalty))
    inverse = np.linalg.pinv(gram, hermitian=True)
    values = inverse @ (weighted.T @ y)
    left = 1 - np.einsum("ij,jk,ik->i", weighted, inverse, x)  # 1 - leverage
    degrees = len(x) - x.shape[1]
    if degrees < 1 or left.min() < 1e-9:
        return Fit(values, np.full_like(gram, np.inf), degrees)
    pulls = weighted * ((y - x @ values) / left)[:, None]
    if groups is not None:
        pulls = _sum_groups(pulls, groups)
    half = pulls @ inverse
    return Fit(values, half.T @ half, degrees)


def fit_pairs(
    signs: Array, differences: Array, *, weights: Array | None = None, total: float | None = None
) -> Fit:
    """Fit ``f(z) - f(1 - z) = signs . values`` to pairs of a set of cells and its complement.

    This is the least-squares fit of the scores themselves, as the half of the score that is the
    same for both members of a pair cancels.

    Parameters
    ----------
    signs : (N, d) ndarray of float64
        1 for the cells that the first set of a pair keeps, -1 for those that the second keeps.
    differences : (N,) ndarray of float64
        Score of the first set minus score of the second.
    weights : (N,) ndarray of float64, optional
        Of the pairs.
    total : float, optional
        What the values must add up to.
    """
    if total is None:
        return fit_least_squares(signs, differences, weights=weights)
    # values = total / d + basis . free, where the columns of the basis each add up to 0.
    d = signs.shape[1]
    basis = np.linalg.qr(np.eye(d)[:, 1:] - 1 / d)[0]
    rest = differences - signs.sum(axis=1) * (total / d)
    free = fit_least_squares(signs @ basis, rest, weights=weights)
    return Fit(total / d + basis @ free.values, _turn(basis, free.covariance), free.degrees)


def leave_out_replicates(estimate: Callable[[NDArray[np.intp]], Array], n_replicates: int) -> Array:
    """Compute the standard errors of a result by leaving out each replicate in turn (jackknife).

    `estimate` makes the result of the replicates that it is told. The errors have
    ``n_replicates - 1`` degrees of freedom; for a mean they are the usual ones.
    """
    everyone = np.arange(n_replicates)
    results = np.stack([estimate(np.delete(everyone, left_out)) for left_out in everyone])
    errors: Array = results.std(axis=0) * math.sqrt(n_replicates - 1)
    return errors


def find_quantile(level: float, degrees: float) -> float:
    """Return a quantile of Student's t; of the normal distribution for infinite degrees."""
    if math.isinf(degrees):
        return NormalDist().inv_cdf(level)
    if degrees < 1:
        return math.inf
    from scipy.special import stdtrit  # slow to import, and rarely needed

    return float(stdtrit(degrees, level))


def plan_looks(first: int, most: int, tolerance: float | None) -> list[InterimLook]:
    """List the moments at which a run looks at its intervals.

    Without a tolerance it looks once, at the end. With one, it looks at ``first``, at twice as
    many, and so on, and at the k-th look (from 0) spends ``alpha / 2**(k + 1)``.
    """
    alpha = 1 - COVERAGE
    if tolerance is None:
        return [InterimLook(most, alpha)]
    numbers = [first << k for k in range(64) if first << k < most] + [most]
    return [InterimLook(n, alpha / 2 ** (k + 1)) for k, n in enumerate(numbers)]


def is_narrow(estimate: Estimate, look: InterimLook, tolerance: float | None) -> bool:
    """Return whether the widest interval is at most a share of the range of the values."""
    if tolerance is None:
        return False
    widest = estimate.find_half_widths(look.alpha).max()
    return bool(widest <= max(tolerance * estimate.span, RESOLUTION))


def describe_precision(
    estimate: Estimate, look: InterimLook, tolerance: float | None = None
) -> dict[str, Any]:
    """Say how wide the intervals are, and what narrower ones would cost, as JSON can hold it.

    The width falls with the root of the evaluations, from which the cost of a smaller tolerance
    follows; it leaves out that a longer run spends its error on more looks.
    """
    widths = estimate.find_half_widths(look.alpha)
    widest, span = float(widths.max()), estimate.span
    share = widest / span if span > 0 else (0.0 if widest == 0 else math.inf)
    known = math.isfinite(share)
    details = {
        "coverage": COVERAGE,
        "half_width": widest if math.isfinite(widest) else None,
        "range": span,
        "relative_half_width": share if known else None,
        "half_widths": widths.tolist() if np.isfinite(widths).all() else None,
        "evaluations": look.n,
        "more_evaluations": {
            str(goal): math.ceil(look.n * (share / goal) ** 2) - look.n
            for goal in TOLERANCES
            if known and goal < share
        },
    }
    if tolerance is not None:
        details["stopped"] = "tolerance" if is_narrow(estimate, look, tolerance) else "limit"
    return details


def _sum_groups(rows: Array, groups: NDArray[np.intp]) -> Array:
    """Sum the rows of each group."""
    sums = np.zeros((groups.max() + 1, rows.shape[1]))
    np.add.at(sums, groups, rows)
    return sums


def _turn(basis: Array, covariance: Array) -> Array:
    """Return the covariance of ``basis @ values``; infinite if that of the values is."""
    if not np.isfinite(covariance).all():
        return np.full((len(basis), len(basis)), np.inf)
    turned: Array = basis @ covariance @ basis.T
    return turned
