"""Confidence intervals of means, and tests of differences: bootstrap, sign flips, Holm.

References
----------
.. [1] Efron, Better bootstrap confidence intervals, J. Amer. Statist. Assoc. 82, 1987,
   doi:10.1080/01621459.1987.10478410
.. [2] Good, Permutation, parametric and bootstrap tests of hypotheses, 2005, ch. 3
.. [3] Hall, The bootstrap and Edgeworth expansion, 1992, sec. 3.3: percentiles of resampled means
.. [4] Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6,
   1979, :jstor:`4615733`
"""

from __future__ import annotations

from collections.abc import Sequence
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
        One per image, at least one.
    rng : numpy.random.Generator
        Draws the resamples.
    level : float in (0, 1)
        Probability that such an interval contains the mean.

    Returns
    -------
    low, high : float
        Ends of the interval, in the unit of the values; equal if all values are.
    """
    import scipy.stats  # 0.7 s to import, and needed when all work is done

    wide = np.asarray(values, np.float64)
    if np.ptp(wide) == 0:
        return float(wide[0]), float(wide[0])
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

    Under this hypothesis, each difference has either sign with equal probability. SciPy's
    permutation test tries all combinations of signs if there are at most `RESAMPLES`;
    otherwise, `RESAMPLES` of them are drawn. From 1,000 differences on, their sum is binomial if
    all have one size, as those of hits and misses, and else normal, unless a few of them decide it
    and there are fewer than 10,000: p differs by less than two draws do.

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
    import scipy.stats  # as above

    wide = np.asarray(differences, np.float64)
    if len(wide) == 1 or not wide.any():
        return 1.0  # the other sign is as far from 0
    if len(wide) >= _MANY:
        n, wide = len(wide), wide[wide != 0] / abs(wide).max()  # a sign of 0 changes nothing
        if np.ptp(abs(wide)) == 0:
            return float(scipy.stats.binomtest(int((wide > 0).sum()), len(wide)).pvalue)
        variance = (wide**2).sum()  # of the sum of signed values
        if n >= _ENOUGH or variance**2 / (wide**4).sum() >= _DECIDING:
            return float(2 * scipy.stats.norm.sf(abs(wide.sum()) / variance**0.5))
    if 2 ** len(wide) > RESAMPLES:
        return _draw_signs(wide, rng)
    found: Any = scipy.stats.permutation_test(
        (wide,), np.mean, permutation_type="samples", vectorized=True, n_resamples=RESAMPLES
    )
    return min(float(found.pvalue), 1.0)


def _draw_signs(differences: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Compute the p-value by drawn signs, as SciPy does, but from bits and by products."""
    n, total = len(differences), differences.sum()
    near = 1e-12 * abs(differences).sum()  # sums that differ by less are equal
    n_low = n_high = 1  # what was observed is one of the combinations
    for start in range(0, RESAMPLES, _count_rows(n)):
        rows = min(_count_rows(n), RESAMPLES - start)
        bits = np.unpackbits(rng.integers(0, 256, (rows, -(-n // 8)), np.uint8), axis=1, count=n)
        sums = total - 2 * (bits.astype(np.float64) @ differences)
        n_low += int((sums <= total + near).sum())
        n_high += int((sums >= total - near).sum())
    return min(2 * min(n_low, n_high) / (RESAMPLES + 1), 1.0)


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
