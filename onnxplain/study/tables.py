"""Tables of a study: means with confidence intervals, paired tests, and means by method."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain.core.data import make_rng
from onnxplain.study.columns import Column
from onnxplain.study.statistics import adjust_by_holm, confidence_interval, sign_flip_test

MEANS_HEADER = (
    *("model", "metric", "method", "n", "mean", "95 % low", "95 % high"),
    *("better", "alpha", "chosen on", "failed", "undefined", "unit"),
)
PAIRS_HEADER = (
    *("model", "metric", "first", "second", "n", "first - second", "95 % low", "95 % high"),
    *("p", "p (Holm)"),
)


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and lines of texts and numbers; None is an empty cell."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[Any, ...], ...]


def summarise(columns: Sequence[Column], *, seed: int) -> Table:
    """Compute the mean of every method with its 95 % confidence interval."""
    lines = []
    for column in columns:
        values = list(column.values.values())
        mean = low = high = None
        if values:
            mean = float(np.mean(values))
            low, high = confidence_interval(values, make_rng(seed, *column[:3]))
        lines.append(
            (
                *column[:3],
                *(len(values), mean, low, high),
                *(column.direction, column.alpha, column.n_held_out),
                *(column.n_failed, column.n_undefined, column.unit),
            )
        )
    return Table("Means", MEANS_HEADER, tuple(lines))


def compare_pairs(columns: Sequence[Column], *, seed: int) -> Table:
    """Compare each pair of methods under each classifier and metric, on their shared images.

    ``p`` is from a sign-flip permutation test of the mean difference. ``p (Holm)`` is adjusted
    for the number of pairs under the same classifier and metric.
    """
    lines: list[tuple[Any, ...]] = []
    for (model, metric), group in itertools.groupby(columns, key=lambda column: column[:2]):
        tests = []
        for first, second in itertools.combinations(group, 2):
            shared = [image for image in first.values if image in second.values]
            if not shared:
                continue
            differences = [first.values[image] - second.values[image] for image in shared]
            rng = make_rng(seed, model, metric, first.method, second.method)
            low, high = confidence_interval(differences, rng)
            mean, p = float(np.mean(differences)), sign_flip_test(differences, rng)
            tests.append(
                (model, metric, first.method, second.method, len(shared), mean, low, high, p)
            )
        adjusted = adjust_by_holm([test[-1] for test in tests])
        lines += [(*test, p) for test, p in zip(tests, adjusted, strict=True)]
    return Table("Paired tests", PAIRS_HEADER, tuple(lines))


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
