"""Tables of a study, as pure functions on its rows.

Where a metric's value depends on a threshold alpha, the one with the best mean over the
held-out images is taken, and the other images are reported.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from onnxplain.core.data import make_rng
from onnxplain.metrics import (
    Direction,
    LocalisationError,
    MetricResult,
    choose_alpha,
    get_value_at_alpha,
)
from onnxplain.study.dataset import is_held_out
from onnxplain.study.rows import Row
from onnxplain.study.statistics import holm, interval, sign_flip

WHOLE_IMAGE = "whole image"  # the box around it all, as a method: localisation must beat it

# What tells models, metrics and methods of one name apart, and what goes before the names of
# their parameters.
_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "model": {"model_sha256": "", "preprocessing": ""},
    "metric": {"metric_fill": "", "metric_parameters": "", "metric_fill_parameters": "fill_"},
    "method": {"fill": "", "method_parameters": "", "fill_parameters": "fill_"},
}
_IDENTITY = (*_SETTINGS, *(name for one in _SETTINGS.values() for name in one), "direction", "unit")
_Names: TypeAlias = tuple[str, str, str]


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
        Images that could not be judged.
    n_undefined : int
        Images that the metric has no value for, as where the object leaves no room beside it.
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
    n_undefined: int


def gather_values(rows: Iterable[Row], *, share: float, seed: int) -> list[Column]:
    """The rows of a study by classifier, metric and method, sorted by their names.

    Parameters
    ----------
    rows : iterable of dict
        Of several of one image and the same settings the last one counts. Curves are not
        kept, so the rows may be read one at a time.
    share, seed
        Decide which images are held out, as in `onnxplain.study.dataset.is_held_out`.
    """
    groups: dict[str, _Group] = {}
    for row in rows:
        if row["kind"] == "score":
            settings = {name: row[name] for name in _IDENTITY}
            group = groups.setdefault(json.dumps(settings), _Group(settings))
            group.add(row)
    label = _labels([group.settings for group in groups.values()])
    found = {label(group.settings): group for group in groups.values()}
    columns = [_column(names, group, share, seed) for names, group in sorted(found.items())]
    baselines: dict[tuple[str, str], Column] = {}
    for one in columns:
        group = found[one[:3]]
        if group.settings["metric"] == LocalisationError.name:
            known = baselines.get(one[:2])
            baselines[one[:2]] = _whole_image(one, group, known.values if known else {})
    return sorted([*columns, *baselines.values()], key=lambda one: one[:3])


def summarise(columns: Sequence[Column], *, seed: int) -> Table:
    """Mean and 95 % confidence interval of every method."""
    lines = []
    for one in columns:
        values = list(one.values.values())
        mean = low = high = None
        if values:
            mean = float(np.mean(values))
            low, high = interval(values, make_rng(seed, *one[:3]))
        lines.append(
            (
                *one[:3],
                *(len(values), mean, low, high),
                *(one.direction, one.alpha, one.n_held_out, one.n_failed, one.n_undefined),
                one.unit,
            )
        )
    header = (
        *("model", "metric", "method", "n", "mean", "95 % low", "95 % high"),
        *("better", "alpha", "chosen on", "failed", "undefined", "unit"),
    )
    return Table("Means", header, tuple(lines))


def compare_pairs(columns: Sequence[Column], *, seed: int) -> Table:
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
            rng = make_rng(seed, model, metric, first.method, second.method)
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


class _Point(NamedTuple):
    """What a row says of one image: the value, and what it would be at each alpha."""

    value: float
    grid: tuple[float, ...]
    whole_image_overlap: float | None


@dataclass(frozen=True, eq=False)
class _Group:
    """The rows of the same settings, by image and class; None for those without a value."""

    settings: Row
    points: dict[tuple[str, int], _Point | None] = field(default_factory=dict)
    failed: dict[tuple[str, int], bool] = field(default_factory=dict)
    alphas: list[float] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Take one row."""
        point = None
        if row["status"] == "done" and row["value"] is not None:
            details = row["details"]
            self.alphas[:] = details.get("alphas", [])
            grid = tuple(details.get("values", ()))
            point = _Point(row["value"], grid, details.get("whole_image_overlap"))
        image = row["image"], row["target"]
        self.points[image] = point
        self.failed[image] = row["status"] == "error"


def _column(names: _Names, group: _Group, share: float, seed: int) -> Column:
    direction: Direction = group.settings["direction"]
    # Sorted, so that intervals do not depend on the order in which work ended.
    points = {image: point for image, point in sorted(group.points.items()) if point is not None}
    held = {image: point for image, point in points.items() if is_held_out(image[0], share, seed)}
    rest = {image: point for image, point in points.items() if image not in held}
    alpha = group.settings["metric_parameters"].get("alpha")
    values = {image: point.value for image, point in points.items()}
    # With one threshold there is nothing to choose, and with one part nothing to choose on.
    chosen = len(group.alphas) > 1 and bool(held) and bool(rest)
    if chosen:
        alpha = choose_alpha([_score(point, group.alphas) for point in held.values()], direction)
        values = {
            i: get_value_at_alpha(_score(point, group.alphas), alpha) for i, point in rest.items()
        }
    n_failed = sum(group.failed.values())
    n_undefined = len(group.points) - len(points) - n_failed
    n_held_out = len(held) if chosen else 0
    unit = group.settings["unit"]
    return Column(
        *names, direction, unit, alpha, n_held_out, values, n_failed, n_undefined=n_undefined
    )


def _whole_image(column: Column, group: _Group, others: Mapping[tuple[str, int], float]) -> Column:
    """The localisation error of the box around the whole image, on all columns' images.

    `others` are the values on the images of the columns before.
    """
    overlap = group.settings["metric_parameters"]["overlap"]
    own = {
        image: float(point.whole_image_overlap <= overlap)
        for image in column.values
        if (point := group.points[image]) and point.whole_image_overlap is not None
    }
    values = dict(sorted({**others, **own}.items()))
    return column._replace(
        method=WHOLE_IMAGE, alpha=None, n_held_out=0, values=values, n_failed=0, n_undefined=0
    )


def _score(point: _Point, alphas: Sequence[float]) -> MetricResult:
    return MetricResult(point.value, {"alphas": alphas, "values": point.grid})


def _labels(all_settings: Sequence[Row]) -> Callable[[Row], _Names]:
    """A function that names the model, metric and method of some settings.

    A name tells those of its parameters in which settings of the same name differ.
    """
    seen: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for settings in all_settings:
        for what in _SETTINGS:
            for name, value in _flat(settings, what).items():
                seen[what, settings[what]][name].add(value)

    def one(settings: Row, what: str) -> str:
        differing = [
            f"{name}={value}"
            for name, value in _flat(settings, what).items()
            if len(seen[what, settings[what]][name]) > 1
        ]
        return f"{settings[what]} ({', '.join(differing)})" if differing else str(settings[what])

    return lambda settings: (
        one(settings, "model"),
        one(settings, "metric"),
        one(settings, "method"),
    )


def _flat(settings: Row, what: str) -> dict[str, str]:
    """All parameters of the model, metric or method, as text."""
    found = {}
    for column, prefix in _SETTINGS[what].items():
        value = settings[column]
        table = value if isinstance(value, dict) else {column.removeprefix("metric_"): value}
        found.update({f"{prefix}{name}": json.dumps(one).strip('"') for name, one in table.items()})
    return found
