"""Confidence intervals of means, and tests of differences: bootstrap, sign flips, Holm.

Both take values that are independent of one another: one per photo (`combine_groups`).

References
----------
.. [1] Efron, Better bootstrap confidence intervals, J. Amer. Statist. Assoc. 82, 1987,
   doi:10.1080/01621459.1987.10478410
.. [2] Good, Permutation, parametric and bootstrap tests of hypotheses, 2005, ch. 3
.. [3] Hall, The bootstrap and Edgeworth expansion, 1992, sec. 3.3: percentiles of resampled means
.. [4] Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6,
   1979, :jstor:`4615733`
.. [5] Cochran, Sampling techniques, 3rd ed., 1977, sec. 9A.1: clusters of unequal sizes
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000
_NUMBERS = 2_000_000  # drawn at once, so that memory does not grow with the number of values
# From here on the correction moves the ends by less than the resampling does, and its cost,
# which grows with the square of the number of values, is no longer small.
_MANY = 1_000
# From here on no skewness is a reason to draw, which takes minutes for every pair of methods.
_ENOUGH = 10_000
# The skewness of resampled means, over 6, up to which what the expansion leaves out moves the ends
# by less than 10,000 resamples scatter, which is by 0.03 of the mean's standard error.
_LEAST_SKEWED = 0.05
# Differences of one size that would be as uncertain, from which on their signed sum is normal.
_DECIDING = 100


def combine_groups(
    values: Sequence[float], groups: Sequence[Hashable], centre: float
) -> NDArray[np.float64]:
    """Combine the values of each group: groups are independent, values in a group are not.

    The mean of all values is the sum of the groups' sums over that of their sizes. It scatters
    as the mean of these values does, which are the terms of its expansion about a centre [5]_.

    Parameters
    ----------
    values : sequence of float
        Such as one per photo and class.
    groups : sequence
        The group of each value, such as its photo.
    centre : float
        The mean of the values, or what a hypothesis says it is.

    Returns
    -------
    combined : (N,) ndarray
        One value per group, in the order of the groups; the values themselves if no two of
        them share a group. Their mean is that of the values.

    Examples
    --------
    >>> combine_groups([1.0, 0.0, 0.5], ["a", "a", "b"], centre=0.5)
    array([0.5, 0.5])
    >>> combine_groups([1.0, 0.0, 0.5], ["a", "b", "c"], centre=0.5)
    array([1. , 0. , 0.5])
    """
    wide = np.asarray(values, np.float64)
    places: dict[Hashable, int] = {}
    place = [places.setdefault(group, len(places)) for group in groups]
    if len(places) == len(wide):
        return wide
    above, mean_size = np.bincount(place, wide - centre), len(wide) / len(places)
    return centre + above / mean_size


def confidence_interval(
    values: ArrayLike, rng: np.random.Generator, *, level: float = 0.95
) -> tuple[float, float]:
    """Compute a confidence interval of the mean by SciPy's bootstrap.

    Percentiles of resampled means, corrected for bias and acceleration (BCa [1]_) below 1,000
    values: uncorrected, such intervals are too short at small numbers of values and skewed
    distributions. From 1,000 values on, these percentiles are computed by their expansion in the
    skewness of the values [3]_ instead of being drawn, unless the skewness is extreme and there
    are fewer than 10,000: the ends differ by less than two draws do.

    Parameters
    ----------
    values : (N,) array
        One per photo, at least one.
    rng : numpy.random.Generator
        Draws the resamples.
    level : float in (0, 1)
        Probability that such an interval contains the mean.

    Returns
    -------
    low, high : float
        Ends of the interval, in the unit of the values; equal if all values are, and NaN for one
        value, which says nothing about its spread.
    """
    given = np.asarray(values, np.float64)
    if len(given) < 2:
        return float("nan"), float("nan")
    least, spread = float(given.min()), float(np.ptp(given))
    if spread == 0:
        return least, least
    # In units of their spread, values that differ by rounding alone are no special case.
    low, high = _find_interval((given - least) / spread, rng, level)
    return least + spread * low, least + spread * high


def _find_interval(
    wide: NDArray[np.float64], rng: np.random.Generator, level: float
) -> tuple[float, float]:
    """Compute the interval of the mean of values of which not all are equal."""
    import scipy.stats  # 0.7 s to import, and needed when all work is done

    mean, n = wide.mean(), len(wide)
    deviation = (wide - mean).std()
    tilt = np.mean(((wide - mean) / deviation) ** 3) / (6 * n**0.5)
    if n >= _ENOUGH or (n >= _MANY and abs(tilt) <= _LEAST_SKEWED):
        z = scipy.stats.norm.isf((1 - level) / 2)
        shift, step = tilt * (z**2 - 1), deviation / n**0.5
        return float(mean + (shift - z) * step), float(mean + (shift + z) * step)
    found: Any = scipy.stats.bootstrap(
        (wide,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=_count_rows(len(wide)),
        confidence_level=level,
        method="BCa" if len(wide) < _MANY else "percentile",
        rng=rng,
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def sign_flip_test(differences: ArrayLike, rng: np.random.Generator) -> float:
    """Compute the two-sided p-value of the hypothesis that paired differences have mean 0 [2]_.

    Under this hypothesis, each difference has either sign with equal probability. All
    combinations of signs are tried if there are at most `RESAMPLES`; otherwise, `RESAMPLES` of
    them are drawn. From 1,000 differences on, their sum is binomial if
    all have one size, as those of hits and misses, and else normal, unless a few of them decide it
    and there are fewer than 10,000: p differs by less than two draws do.

    Parameters
    ----------
    differences : (N,) array
        One per photo, at least one.
    rng : numpy.random.Generator
        Draws the signs.

    Examples
    --------
    >>> sign_flip_test([1.0, 1.0, 1.0], np.random.default_rng(0))
    0.25
    """
    wide = np.asarray(differences, np.float64)
    if len(wide) == 1 or not wide.any():
        return 1.0  # the other sign is as far from 0
    if len(wide) >= _MANY:
        import scipy.stats  # as above

        n, wide = len(wide), wide[wide != 0] / abs(wide).max()  # a sign of 0 changes nothing
        if np.ptp(abs(wide)) == 0:
            return float(scipy.stats.binomtest(int((wide > 0).sum()), len(wide)).pvalue)
        variance = (wide**2).sum()  # of the sum of signed values
        if n >= _ENOUGH or variance**2 / (wide**4).sum() >= _DECIDING:
            return float(2 * scipy.stats.norm.sf(abs(wide.sum()) / variance**0.5))
    if 2 ** len(wide) <= RESAMPLES:
        every = np.arange(2 ** len(wide))[:, None] >> np.arange(len(wide)) & 1
        return min(2 * min(_count_tails(wide, every)) / len(every), 1.0)
    return _draw_signs(wide, rng)


def _draw_signs(differences: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Compute the p-value by drawn signs, as SciPy does, but from bits and by products."""
    n = len(differences)
    n_low = n_high = 1  # what was observed is one of the combinations
    for start in range(0, RESAMPLES, _count_rows(n)):
        rows = min(_count_rows(n), RESAMPLES - start)
        bits = np.unpackbits(rng.integers(0, 256, (rows, -(-n // 8)), np.uint8), axis=1, count=n)
        low, high = _count_tails(differences, bits)
        n_low, n_high = n_low + low, n_high + high
    return min(2 * min(n_low, n_high) / (RESAMPLES + 1), 1.0)


def _count_tails(differences: NDArray[np.float64], bits: NDArray[np.integer]) -> tuple[int, int]:
    """Count the sums (of rows of signs; 1 turns one) that are at most, and at least, the given."""
    total = differences.sum()
    # SciPy's slack is a share of the total: near 0, it takes sums that rounding parts for others.
    near = 1e-12 * abs(differences).sum()
    sums = total - 2 * (bits.astype(np.float64) @ differences)
    return int((sums <= total + near).sum()), int((sums >= total - near).sum())


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of tests [4]_.

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


def _count_rows(width: int) -> int:
    """Return how many resamples of `width` values are drawn at once."""
    return max(_NUMBERS // width, 1)
