"""Confidence intervals of means, and tests of differences: bootstrap, sign flips, Holm.

References
----------
.. [1] Efron & Tibshirani, An introduction to the bootstrap, 1993, ch. 13
.. [2] Good, Permutation, parametric and bootstrap tests of hypotheses, 2005, ch. 3
.. [3] Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6,
   1979, :jstor:`4615733`
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 10_000
_NUMBERS = 2_000_000  # drawn at once, so that memory does not grow with the number of values


def confidence_interval(
    values: ArrayLike, rng: np.random.Generator, *, level: float = 0.95
) -> tuple[float, float]:
    """Compute a confidence interval of the mean from percentiles of resampled means [1]_.

    Parameters
    ----------
    values : (N,) array
        One per image, at least one.
    rng : numpy.random.Generator
        Draws the resamples.
    level : float in (0, 1)
        Probability that such an interval contains the mean.

    Returns
    -------
    low, high : float
        Ends of the interval, in the unit of the values.
    """
    wide = np.asarray(values, np.float64)
    n = len(wide)
    means = np.concatenate(
        [wide[rng.integers(0, n, (rows, n))].mean(axis=1) for rows in _split_rows(RESAMPLES, n)]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def sign_flip_test(differences: ArrayLike, rng: np.random.Generator) -> float:
    """Compute the two-sided p-value of the hypothesis that paired differences have mean 0 [2]_.

    Under this hypothesis, each difference has either sign with equal probability. All
    combinations of signs are tried if there are at most `RESAMPLES`; otherwise, `RESAMPLES`
    combinations are drawn.

    Parameters
    ----------
    differences : (N,) array
        One per image, at least one.
    rng : numpy.random.Generator
        Draws the signs.

    Examples
    --------
    >>> sign_flip_test([1.0, 1.0, 1.0], np.random.default_rng(0))
    0.25
    """
    wide = np.asarray(differences, np.float64)
    n = len(wide)
    # Sums that differ only by rounding count as equal.
    bound = abs(wide.sum()) - 1e-9 * np.abs(wide).sum()
    if 2**n <= RESAMPLES:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
        return float((np.abs((1 - 2 * bits) @ wide) >= bound).mean())
    as_far = sum(
        int((np.abs((1 - 2 * rng.integers(0, 2, (rows, n))) @ wide) >= bound).sum())
        for rows in _split_rows(RESAMPLES, n)
    )
    return (as_far + 1) / (RESAMPLES + 1)  # the observed signs are one of the combinations


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of tests [3]_.

    Examples
    --------
    >>> adjust_by_holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable").tolist()):
        highest = max(highest, min((len(p_values) - rank) * p_values[i], 1.0))
        adjusted[i] = highest
    return adjusted


def _split_rows(total: int, width: int) -> Iterator[int]:
    """Yield numbers of rows that sum to `total`, few enough for memory at `width` numbers each."""
    part = max(_NUMBERS // max(width, 1), 1)
    for start in range(0, total, part):
        yield min(part, total - start)
