"""How well two maps agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

TOP = 0.1  # share of pixels whose overlap is compared


def correlate(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the correlation of values; 0 if one of them is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def correlate_ranks(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the correlation of ranks."""
    return correlate(rankdata(first), rankdata(second))


def measure_overlap(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the share of the brightest pixels of one map that are so in the other, too."""
    k = int(TOP * first.size)
    tops = [set(np.argsort(values, kind="stable")[-k:]) for values in (first, second)]
    return len(tops[0] & tops[1]) / k
