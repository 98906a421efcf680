"""Columns: the values of a study's rows, gathered by classifier, metric and method.

If a metric's value depends on a threshold alpha, the alpha with the best mean over the
held-out images is chosen, and only the other images are reported.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from onnxplain.metrics import (
    Direction,
    LocalisationError,
    MetricResult,
    choose_alpha,
    get_value_at_alpha,
)
from onnxplain.study.dataset import is_held_out
from onnxplain.study.naming import SETTINGS, make_namer
from onnxplain.study.rows import Row
from onnxplain.study.verdicts import Verdicts

# A box around the whole image, as a baseline that localisation must beat.
WHOLE_IMAGE = "whole image"

_IDENTITY = (
    *SETTINGS,
    *(name for prefixes in SETTINGS.values() for name in prefixes),
    *("direction", "unit"),
)
_NUMBER = (int, float, type(None))
# The types of the fields that every row of a score has.
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(_IDENTITY, object),
    **{name: dict for name in _IDENTITY if name.endswith("_parameters")},
    **{"image": str, "target": (int, type(None)), "value": _NUMBER, "details": dict},
}
_Names: TypeAlias = tuple[str, str, str]  # of model, metric and method
_Image: TypeAlias = tuple[str, int]  # file and class


class Column(NamedTuple):
    """The values of one method under one metric and classifier.

    Parameters
    ----------
    model, metric, method : str
        Names, with the parameters that distinguish them from others with the same name.
    direction : {'lower', 'higher'}
        Which values are better.
    unit : str
        Unit of the values.
    alpha : float or None
        The threshold; None if the metric has none.
    n_held_out : int
        Number of images on which the threshold was chosen; 0 if it was not chosen.
    values : mapping
        The value of each image and class.
    n_failed : int
        Number of images that could not be judged, among them those that could not be read.
    n_undefined : int
        Number of images for which the metric has no value, for example because the object
        fills the image.
    photos : mapping
        The photo of each file: of files with the same pixels, the first by name.
    """

    model: str
    metric: str
    method: str
    direction: Direction
    unit: str
    alpha: float | None
    n_held_out: int
    values: Mapping[_Image, float]
    n_failed: int
    n_undefined: int
    photos: Mapping[str, str] = {}


def gather_values(rows: Iterable[Row], *, share: float, seed: int) -> list[Column]:
    """Gather the values of rows by classifier, metric and method, sorted by their names.

    Parameters
    ----------
    rows : iterable of dict
        If several rows have the same image and settings, the last one counts. Rows are not
        kept in memory, so they may be read one at a time.
    share, seed
        Decide which images are held out, as in `onnxplain.study.dataset.is_held_out`.
    """
    groups: dict[str, _Group] = {}
    images: dict[_Image, _Image] = {}  # one of each, whatever the number of rows
    checksums: dict[str, str] = {}
    verdicts = Verdicts()
    for row in rows:
        if row["kind"] == "image":
            verdicts.add(row)
        if row["kind"] == "score":
            settings = {name: row[name] for name in _IDENTITY}
            group = groups.setdefault(json.dumps(settings), _Group(settings))
            image = row["image"], row["target"]
            group.add(row, images.setdefault(image, image))
            checksums[row["image"]] = str(row.get("image_sha256") or row["image"])
    name = make_namer([group.settings for group in groups.values()])
    by_names: dict[_Names, _Group] = {}
    for group in groups.values():
        made = group.settings
        by_names[name(made, "model"), name(made, "metric"), name(made, "method")] = group
    firsts: dict[str, str] = {}
    photos = {file: firsts.setdefault(checksums[file], file) for file in sorted(checksums)}
    columns = [
        _make_column(names, group, photos, share, seed)._replace(
            n_failed=len(group.failed) + verdicts.count(group.settings).failed
        )
        for names, group in sorted(by_names.items())
    ]
    baselines: dict[tuple[str, str], Column] = {}
    for column in columns:
        group = by_names[column[:3]]
        if group.settings["metric"] == LocalisationError.name:
            known = baselines.get(column[:2])
            baselines[column[:2]] = _make_baseline(column, group, known.values if known else {})
    return sorted([*columns, *baselines.values()], key=lambda column: column[:3])


def find_wrong_fields(row: Row) -> list[str]:
    """Return the fields that a row must have and has not, or not with a value of their type."""
    if row.get("kind") == "image":
        return []
    if row.get("kind") != "score":
        return ["kind"]
    wrong = [
        name for name, kind in _FIELDS.items() if name not in row or not isinstance(row[name], kind)
    ]
    if row.get("direction") not in ("lower", "higher"):
        wrong.append("direction")
    return wrong


class _Point(NamedTuple):
    """The value of one image, its value at each alpha, and the overlap of the whole image."""

    value: float
    grid: Sequence[float]
    whole_image_overlap: float | None


@dataclass(frozen=True, eq=False)
class _Group:
    """The values of rows with the same settings, by image; None for an image without a value."""

    settings: Row
    points: dict[_Image, _Point | None] = field(default_factory=dict)
    failed: set[_Image] = field(default_factory=set)
    alphas: list[float] = field(default_factory=list)

    def add(self, row: Row, image: _Image) -> None:
        """Add the value of one row for its image."""
        point = None
        if row["status"] == "done" and row["value"] is not None:
            details = row["details"]
            self.alphas[:] = details.get("alphas", [])
            grid = array("d", details["values"] if self.alphas else ())  # there may be millions
            point = _Point(row["value"], grid, details.get("whole_image_overlap"))
        self.points[image] = point
        if row["status"] == "error":
            self.failed.add(image)
        else:
            self.failed.discard(image)

    def make_result(self, point: _Point) -> MetricResult:
        """Make the result of a metric from a point, with its value at each alpha."""
        return MetricResult(point.value, {"alphas": self.alphas, "values": point.grid})


def _make_column(
    names: _Names, group: _Group, photos: Mapping[str, str], share: float, seed: int
) -> Column:
    direction: Direction = group.settings["direction"]
    # Points are sorted, so that intervals do not depend on the order in which work ended.
    points = {image: point for image, point in sorted(group.points.items()) if point is not None}
    held = {
        image: point
        for image, point in points.items()
        if is_held_out(photos[image[0]], share, seed)  # copies of a photo stay together
    }
    rest = {image: point for image, point in points.items() if image not in held}
    alpha = group.settings["metric_parameters"].get("alpha")
    values = {image: point.value for image, point in points.items()}
    # A choice needs several thresholds, images to choose on, and images to report.
    is_chosen = len(group.alphas) > 1 and bool(held) and bool(rest)
    if is_chosen:
        alpha = choose_alpha([group.make_result(point) for point in held.values()], direction)
        values = {
            image: get_value_at_alpha(group.make_result(point), alpha)
            for image, point in rest.items()
        }
    n_failed = len(group.failed)
    return Column(
        *names,
        direction=direction,
        unit=group.settings["unit"],
        alpha=alpha,
        n_held_out=len(held) if is_chosen else 0,
        values=values,
        n_failed=n_failed,
        n_undefined=len(group.points) - len(points) - n_failed,
        photos=photos,
    )


def _make_baseline(column: Column, group: _Group, others: Mapping[_Image, float]) -> Column:
    """Make the column of a box around the whole image, on the images of all columns.

    `others` holds its values on the images of the earlier columns.
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
