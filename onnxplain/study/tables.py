"""Tables of a study: means with confidence intervals, paired tests, and means by method."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import make_rng
from onnxplain.metrics.base import nan_to_none
from onnxplain.study.columns import Column
from onnxplain.study.statistics import (
    adjust_by_holm,
    combine_groups,
    confidence_interval,
    sign_flip_test,
)

MEANS_HEADER = (
    *("model", "metric", "method", "n", "photos", "mean", "95 % low", "95 % high"),
    *("better", "alpha", "chosen on", "failed", "undefined", "unit"),
)
PAIRS_HEADER = (
    *("model", "metric", "first", "second", "n", "photos"),
    *("first - second", "95 % low", "95 % high", "p", "p (Holm)"),
)


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and lines of texts and numbers; None is an empty cell."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[Any, ...], ...]


def summarise(columns: Sequence[Column], *, seed: int) -> Table:
    """Compute the mean of every method with its 95 % confidence interval.

    ``n`` counts values, one per image and class, and ``photos`` the photos that they are of:
    classes of one photo, and files with the same pixels, tell less than as many photos do.
    """
    lines = []
    for column in columns:
        values = list(column.values.values())
        photos = _list_photos(column, column.values)
        mean = low = high = None
        if values:
            mean, rng = float(np.mean(values)), make_rng(seed, *column[:3])
            low, high = _find_ends(combine_groups(values, photos, mean), rng)
        lines.append(
            (
                *column[:3],
                *(len(values), len(set(photos)), mean, low, high),
                *(column.direction, column.alpha, column.n_held_out),
                *(column.n_failed, column.n_undefined, column.unit),
            )
        )
    return Table("Means", MEANS_HEADER, tuple(lines))


def compare_pairs(columns: Sequence[Column], *, seed: int) -> Table:
    """Compare each pair of methods under each classifier and metric, on their shared images.

    ``p`` is from a sign-flip permutation test of the mean difference: all differences of a photo
    change their signs together. ``p (Holm)`` is adjusted for the number of pairs under the same
    classifier and metric.
    """
    lines: list[tuple[Any, ...]] = []
    for (model, metric), group in itertools.groupby(columns, key=lambda column: column[:2]):
        tests = []
        for first, second in itertools.combinations(group, 2):
            shared = [image for image in first.values if image in second.values]
            if not shared:
                continue
            differences = [first.values[image] - second.values[image] for image in shared]
            mean, photos = float(np.mean(differences)), _list_photos(first, shared)
            rng = make_rng(seed, model, metric, first.method, second.method)
            ends = _find_ends(combine_groups(differences, photos, mean), rng)
            p = sign_flip_test(combine_groups(differences, photos, 0.0), rng)
            names = (model, metric, first.method, second.method)
            tests.append((*names, len(shared), len(set(photos)), mean, *ends, p))
        adjusted = adjust_by_holm([test[-1] for test in tests])
        lines += [(*test, p) for test, p in zip(tests, adjusted, strict=True)]
    return Table("Paired tests", PAIRS_HEADER, tuple(lines))


def _list_photos(column: Column, images: Iterable[tuple[str, int]]) -> list[str]:
    """List the photo of each image and class."""
    return [column.photos.get(file, file) for file, _ in images]


def _find_ends(
    values: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float | None, float | None]:
    """Return the ends of the interval of the mean; None for one value, which has no interval."""
    low, high = confidence_interval(values, rng)
    return nan_to_none(low), nan_to_none(high)


def arrange_by_method(columns: Sequence[Column]) -> Table:
    """Arrange the means with one column per method, as papers print them."""
    methods = sorted({column.method for column in columns})
    means = {
        column[:3]: float(np.mean(list(column.values.values())))
        for column in columns
        if column.values
    }
    questions = dict.fromkeys((column.model, column.metric, column.direction) for column in columns)
    lines = [
        (
            *(model, f"{metric} ({better} is better)"),
            *(means.get((model, metric, method)) for method in methods),
        )
        for model, metric, better in questions
    ]
    return Table("Means by method", ("model", "metric", *methods), tuple(lines))
