"""Tables of a study, as pure functions on its rows.

Where a metric's value depends on a threshold alpha, the one with the best mean over the
held-out images is taken, and the other images are reported.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from onnxplain.data import generator
from onnxplain.metrics import Direction, LocalisationError, Score, at_alpha, best_alpha
from onnxplain.study.dataset import held_out
from onnxplain.study.rows import Row
from onnxplain.study.statistics import holm, interval, sign_flip

WHOLE_IMAGE = "whole image"  # the box around it all, as a method: localisation must beat it
_DETAILS = ("alphas", "values", "whole_image_overlap")


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and lines of texts and numbers; None is empty."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[Any, ...], ...]


class Column(NamedTuple):
    """What one method got under one metric and classifier.

    Parameters
    ----------
    model, metric, method : str
        With the parameters that tell them from others of the name.
    direction : {'lower', 'higher'}
        Which values are better.
    unit : str
        Of the values.
    alpha : float or None
        The threshold; None where there is none.
    n_held_out : int
        Images on which it was chosen.
    values : mapping
        By image and class.
    n_failed : int
        Images without a value.
    """

    model: str
    metric: str
    method: str
    direction: Direction
    unit: str
    alpha: float | None
    n_held_out: int
    values: Mapping[tuple[str, int], float]
    n_failed: int


def thin(row: Row) -> Row:
    """What the tables need of a row: without its curve."""
    details = row.get("details", {})
    return {**row, "details": {name: details[name] for name in _DETAILS if name in details}}


def gather(rows: Iterable[Row], *, share: float, seed: int) -> list[Column]:
    """The rows of a study by classifier, metric and method, sorted by their names.

    Parameters
    ----------
    rows : iterable of dict
        Each key once.
    share, seed
        Decide which images are held out, as in `onnxplain.study.dataset.held_out`.
    """
    scores = [row for row in rows if row["kind"] == "score"]
    name = [_namer(scores, what) for what in ("model", "metric", "method")]
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in scores:
        groups[tuple(one(row) for one in name)].append(row)
    found = [_column(names, group, share, seed) for names, group in sorted(groups.items())]
    baselines = {
        one[:2]: _whole_image(one, groups[one[:3]])
        for one in reversed(found)
        if groups[one[:3]][0]["metric"] == LocalisationError.name
    }
    return sorted([*found, *baselines.values()], key=lambda one: one[:3])


def summary(columns: Sequence[Column], *, seed: int) -> Table:
    """Mean and 95 % confidence interval of every method."""
    lines = []
    for one in columns:
        values = list(one.values.values())
        mean = low = high = None
        if values:
            mean = float(np.mean(values))
            low, high = interval(values, generator(seed, *one[:3]))
        lines.append(
            (
                *one[:3],
                *(len(values), mean, low, high),
                *(one.direction, one.alpha, one.n_held_out, one.n_failed, one.unit),
            )
        )
    header = (
        *("model", "metric", "method", "n", "mean", "95 % low", "95 % high"),
        *("better", "alpha", "chosen on", "failed", "unit"),
    )
    return Table("Means", header, tuple(lines))


def pairs(columns: Sequence[Column], *, seed: int) -> Table:
    """Every two methods on the images that both have, by classifier and metric.

    The p-value is that of a sign-flip permutation test of the mean difference; ``p (Holm)``
    is adjusted for all pairs under one classifier and metric.
    """
    lines: list[tuple[Any, ...]] = []
    for (model, metric), group in itertools.groupby(columns, key=lambda one: one[:2]):
        tests = []
        for first, second in itertools.combinations(group, 2):
            shared = [image for image in first.values if image in second.values]
            if not shared:
                continue
            differences = [first.values[image] - second.values[image] for image in shared]
            rng = generator(seed, model, metric, first.method, second.method)
            low, high = interval(differences, rng)
            mean, p = float(np.mean(differences)), sign_flip(differences, rng)
            tests.append(
                (model, metric, first.method, second.method, len(shared), mean, low, high, p)
            )
        adjusted = holm([test[-1] for test in tests])
        lines += [(*test, p) for test, p in zip(tests, adjusted, strict=True)]
    header = (
        *("model", "metric", "first", "second", "n", "first - second", "95 % low", "95 % high"),
        *("p", "p (Holm)"),
    )
    return Table("Paired tests", header, tuple(lines))


def by_method(columns: Sequence[Column]) -> Table:
    """The means with one column a method, as papers print them."""
    methods = sorted({one.method for one in columns})
    means = {one[:3]: float(np.mean(list(one.values.values()))) for one in columns if one.values}
    questions = dict.fromkeys((one.model, one.metric, one.direction) for one in columns)
    lines = [
        (model, f"{metric} ({better} is better)", *(means.get((model, metric, m)) for m in methods))
        for model, metric, better in questions
    ]
    return Table("Means by method", ("model", "metric", *methods), tuple(lines))


def _column(names: tuple[str, ...], rows: Sequence[Row], share: float, seed: int) -> Column:
    model, metric, method = names
    direction: Direction = rows[0]["direction"]
    # Sorted, so that intervals do not depend on the order in which work ended.
    defined = sorted(
        (row for row in rows if row["status"] == "done" and row["value"] is not None), key=_image
    )
    alpha = rows[0]["metric_parameters"].get("alpha")
    parts: dict[bool, list[Row]] = {True: [], False: []}
    for row in defined:
        parts[held_out(row["image"], share, seed)].append(row)
    n_held_out = 0
    # With one threshold there is nothing to choose, and with one part nothing to choose on.
    if all(parts.values()) and all(len(row["details"].get("alphas", ())) > 1 for row in defined):
        alpha = best_alpha([_score(row) for row in parts[True]], direction)
        n_held_out, defined = len(parts[True]), parts[False]
    values = {
        _image(row): at_alpha(_score(row), alpha) if n_held_out else float(row["value"])
        for row in defined
    }
    failed = sum(row["status"] == "error" or row["value"] is None for row in rows)
    unit = rows[0]["unit"]
    return Column(model, metric, method, direction, unit, alpha, n_held_out, values, failed)


def _whole_image(column: Column, rows: Sequence[Row]) -> Column:
    """The localisation error of the box around the whole image, on the images of a column."""
    values = {
        _image(row): float(
            row["details"]["whole_image_overlap"] <= row["metric_parameters"]["overlap"]
        )
        for row in rows
        if _image(row) in column.values
    }
    return column._replace(method=WHOLE_IMAGE, alpha=None, n_held_out=0, values=values, n_failed=0)


def _image(row: Row) -> tuple[str, int]:
    return row["image"], row["target"]


def _score(row: Row) -> Score:
    return Score(row["value"], row["details"])


# By what is named: the settings that tell things of one name apart, and what goes before the
# names of their parameters.
_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "model": {"model_sha256": "", "preprocessing": ""},
    "metric": {"metric_fill": "", "metric_parameters": "", "metric_fill_parameters": "fill_"},
    "method": {"fill": "", "method_parameters": "", "fill_parameters": "fill_"},
}


def _namer(rows: Iterable[Row], what: str) -> Callable[[Row], str]:
    """A function that names the model, metric or method of a row.

    Of its settings the name tells those in which rows of the same name differ.
    """

    def settings(row: Row) -> dict[str, str]:
        found = {}
        for column, prefix in _SETTINGS[what].items():
            value = row[column]
            table = value if isinstance(value, dict) else {column.removeprefix("metric_"): value}
            found.update({f"{prefix}{name}": json.dumps(one) for name, one in table.items()})
        return found

    seen: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        for name, value in settings(row).items():
            seen[row[what]][name].add(value)

    def label(row: Row) -> str:
        differing = [
            f"{name}={value.strip(chr(34))}"
            for name, value in settings(row).items()
            if len(seen[row[what]][name]) > 1
        ]
        return f"{row[what]} ({', '.join(differing)})" if differing else str(row[what])

    return label
