"""From the rows of an evaluation to the material of a report: tables, maps, curves, failures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Box, Heatmap, Meaning, Size
from onnxplain.core.errors import ImageError, OutputError, tell_reason
from onnxplain.metrics.heatmaps.curves import Deletion, Insertion
from onnxplain.report.commands import format_command
from onnxplain.report.fillings import make_filling
from onnxplain.report.material import (
    CurveWalk,
    FillPicture,
    Map,
    Material,
    Omission,
    Photo,
    StudyPart,
    Value,
    Way,
)
from onnxplain.report.reading import make_photo_key, shrink_map, shrink_photo
from onnxplain.report.study_files import StudyFiles, read_heatmap, read_photo, read_table
from onnxplain.study.columns import gather_values
from onnxplain.study.naming import make_namer
from onnxplain.study.overview import describe_limits
from onnxplain.study.plan import Plan
from onnxplain.study.rows import Row
from onnxplain.study.tables import MEANS_HEADER, PAIRS_HEADER, Table, compare_pairs, summarise
from onnxplain.study.verdicts import Verdicts

USUAL_MEANING = Meaning("larger means more evidence for the class")
WAYS: Mapping[str, Way] = {Deletion.name: "away", Insertion.name: "back"}
MOST_FAILURES = 200

Namer: TypeAlias = Callable[[Row, str], str]  # from a row and "method", "metric" or "model"


def read_study(material: Material, files: StudyFiles) -> None:
    """Add what an evaluation found; or why its rows cannot be read."""
    try:
        last: dict[str, int] = {}
        photos: set[tuple[str, str]] = set()  # with their files
        for place, row in enumerate(files.read()):
            last[row["key"]] = place
            if _has_map(row):
                photos.add((row["image"], _get_photo_key(row)))
        for _, key in sorted(photos):  # the first ones of the data set, whatever ended first
            material.has_room(key)
        if n_lost := len(set(files.keys or ()) - last.keys()):
            reason = (
                f"{files.rows}: {n_lost} of the {len(files.keys or ())} rows of its tables are "
                f"gone; evaluate again, which does what is missing"
            )
            material.broken.append(Omission(files.rows.name, reason))
        reader = _Reader(material, files)
        for place, row in enumerate(files.read()):
            if last[row["key"]] == place:
                reader.add(row)
        reader.finish()
    except OutputError as error:
        material.broken.append(Omission(files.rows.name, str(error)))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{files.rows}: its rows are not as onnxplain writes them ({error!r})"
        material.broken.append(Omission(files.rows.name, reason))


@dataclass(eq=False)
class _MeanCurve:
    """The sum of the curves of one method under one metric."""

    settings: Row
    shares: list[float]
    total: NDArray[np.float64]
    n: int = 0


@dataclass(eq=False)
class _Reader:
    """What was read of one evaluation so far."""

    material: Material
    files: StudyFiles
    images: dict[tuple[Any, ...], Row] = field(default_factory=dict)
    made: dict[str, list[Row]] = field(default_factory=dict)  # rows of scores, by their map
    means: dict[str, _MeanCurve] = field(default_factory=dict)
    verdicts: Verdicts = field(default_factory=Verdicts)
    n_failed: int = 0

    def add(self, row: Row) -> None:
        """Add a row."""
        if row["status"] == "error":
            self._add_failure(row)
        if row["kind"] == "image":
            self.verdicts.add(row)
            self.images[_identify_image(row)] = row
            return
        if row["status"] == "done":
            self._add_curve(row)
        if _has_map(row) and self.material.has_room(_get_photo_key(row)):
            self.made.setdefault(_identify_map(row), []).append(row)

    def finish(self) -> None:
        """Add the maps and tables, once all rows are known."""
        if self.n_failed > MOST_FAILURES:
            more = self.n_failed - MOST_FAILURES
            self.material.failures.append(Omission(f"{more} more", f"see {self.files.rows}"))
        names = [row for rows in self.made.values() for row in rows]
        name = make_namer([*names, *(mean.settings for mean in self.means.values())])
        for rows in sorted(self.made.values(), key=lambda rows: str(rows[0]["image"])):
            self._add_map(rows, name)
        means, pairs = self._find_tables()
        labels, curves = self._average_curves(name)
        limits = tuple(describe_limits(means, pairs))
        where, verdicts = str(self.files.rows), self._count_images()
        self.material.studies.append(
            StudyPart(where, verdicts, means, pairs, limits, labels, curves)
        )

    def _count_images(self) -> str:
        """Say how many images each classifier classified correctly."""
        counts = self.verdicts.count_by_name()
        if len(counts) == 1:
            (text,) = map(str, counts.values())
            return f"{text[0].upper()}{text[1:]}."
        return " ".join(f"{name}: {one}." for name, one in counts.items())

    def _add_failure(self, row: Row) -> None:
        self.n_failed += 1
        if self.n_failed <= MOST_FAILURES:
            parts = (row.get("image"), row.get("model"), row.get("method"), row.get("metric"))
            what = ", ".join(str(part) for part in parts if part)
            self.material.failures.append(Omission(what, str(row.get("error"))))

    def _add_curve(self, row: Row) -> None:
        """Add a curve to the mean of its method."""
        if row["metric"] not in WAYS:
            return
        shares, scores = row["details"]["share"], row["details"]["curve"]
        settings = {key: row[key] for key in (*_METHOD, *_METRIC)}
        start = _MeanCurve(settings, shares, np.zeros(len(shares)))
        mean = self.means.setdefault(json.dumps([settings, shares]), start)
        mean.total += scores
        mean.n += 1

    def _add_map(self, rows: list[Row], name: Namer) -> None:
        """Add a map with everything that metrics said of it."""
        first, material = rows[0], self.material
        key = _get_photo_key(first)
        image = self.images.get(_identify_image(first), {})
        heatmap = self._find_heatmap(first)
        size = first["preprocessing"].get("size", (224, 224)) if heatmap is None else heatmap.shape
        photo = material.photos.get(key)
        if photo is None:
            photo = self._find_photo(first, image.get("photo_size", size))
        window = Box(**image["window"]) if "window" in image else Box(0, 0, *photo.size)
        values = (0.0, 0.0) if heatmap is None else (float(heatmap.min()), float(heatmap.max()))
        material.add(
            photo,
            Map(
                photo=key,
                target=first["target"],
                target_name=str(first["target_name"]),
                score=image.get("score"),
                settings={field: first[field] for field in (*_METHOD, "seed")},
                heatmap=None if heatmap is None else shrink_map(heatmap),
                window=window,
                meaning=USUAL_MEANING,
                low=values[0],
                high=values[1],
                facts=_list_facts(first),
                command=self._format_command(first),
                walks=tuple(_find_walks(rows, photo, window, (int(size[0]), int(size[1])), name)),
                values=tuple(_make_value(row, name) for row in rows),
            ),
        )

    def _find_photo(self, row: Row, size: Sequence[int]) -> Photo:
        """Return the photo of a row; without pixels, of this size, if it is not found."""
        name = Path(row["image"]).name
        if self.files.images is not None:
            try:
                pixels = read_photo(self.files.images, row)
                return Photo(name, (pixels.shape[0], pixels.shape[1]), shrink_photo(pixels))
            except (ImageError, OSError) as error:
                self.material.broken.append(Omission(row["image"], str(error)))
        rows, columns = size
        return Photo(name, (rows, columns), None)

    def _find_heatmap(self, row: Row) -> Heatmap | None:
        """Return the heatmap of a row, if it was kept."""
        path = self.files.kept.get(str(row.get("heatmap")))
        try:
            return None if path is None else read_heatmap(path)
        except OutputError as error:
            self.material.broken.append(Omission(path.name if path else "", str(error)))
            return None

    def _average_curves(self, name: Namer) -> tuple[tuple[str, ...], tuple[CurveWalk, ...]]:
        """Return the mean curve of each method under each metric, with the method's label."""
        models = {name(mean.settings, "model") for mean in self.means.values()}
        labels, curves = [], []
        for mean in self.means.values():
            more = f" · {name(mean.settings, 'model')}" if len(models) > 1 else ""
            labels.append(name(mean.settings, "method") + more)
            metric = mean.settings["metric"]
            title = f"{name(mean.settings, 'metric')}: mean of the images"
            scores = mean.total / mean.n
            curves.append(_make_walk(title, metric, mean.shares, scores, FillPicture("")))
        return tuple(labels), tuple(curves)

    def _find_tables(self) -> tuple[Table, Table]:
        """Return the tables of the study, those beside its rows, or those of the rows."""
        if self.files.tables:
            return self.files.tables["means"], self.files.tables["pairs"]
        try:
            folder = self.files.rows.parent
            return (
                read_table(folder / "means.csv", "Means", MEANS_HEADER),
                read_table(folder / "pairs.csv", "Paired tests", PAIRS_HEADER),
            )
        except FileNotFoundError:  # of rows alone
            pass
        except (OSError, ValueError) as error:
            self.material.broken.append(Omission("means.csv", f"{folder}: {tell_reason(error)}"))
        seed = next((row["seed"] for rows in self.made.values() for row in rows), 0)
        columns = gather_values(self.files.read(), share=Plan().held_out, seed=seed)
        return summarise(columns, seed=seed), compare_pairs(columns, seed=seed)

    def _format_command(self, row: Row) -> str:
        if row["method"] in ("random", "given"):
            return ""
        image = row["image"] if self.files.images is None else str(self.files.images / row["image"])
        record = {**row, "image": image, "parameters": row["method_parameters"]}
        return format_command({**record, "provenance": {"classifier": {"model": row["model"]}}})


_METHOD = (
    *("model", "model_sha256", "preprocessing", "method", "method_parameters"),
    *("fill", "fill_parameters"),
)
_METRIC = ("metric", "metric_fill", "metric_parameters", "metric_fill_parameters")
_OF_ONE_METRIC = frozenset(
    (*_METRIC, "kind", "key", "status", "details", "value", "alpha", "error", "direction", "unit")
)


def _make_walk(
    title: str, metric: str, shares: Any, scores: Any, filling: FillPicture
) -> CurveWalk:
    return CurveWalk(
        title, tuple(map(float, shares)), tuple(map(float, scores)), WAYS[metric], filling
    )


def _find_walks(
    rows: list[Row], photo: Photo, window: Box, size: Size, name: Namer
) -> Iterator[CurveWalk]:
    """Yield the curves of a map."""
    for row in rows:
        if row["status"] == "done" and row["metric"] in WAYS:
            shares, scores = row["details"]["share"], row["details"]["curve"]
            which = "metric_" if row["metric_fill"] else ""  # without, the fill of the method
            fill, parameters = row[f"{which}fill"], row[f"{which}fill_parameters"]
            filling = make_filling(photo, window, size, fill, parameters, row["seed"])
            yield _make_walk(name(row, "metric"), row["metric"], shares, scores, filling)


def _make_value(row: Row, name: Namer) -> Value:
    error = str(row.get("error") or "")
    return Value(name(row, "metric"), row["value"], row["direction"], error)


def _list_facts(row: Row) -> dict[str, Any]:
    """Return what a row tells of its map, without what it tells of one metric."""
    return {name: value for name, value in row.items() if name not in _OF_ONE_METRIC}


def _has_map(row: Row) -> bool:
    return row["kind"] == "score" and row["target"] is not None


def _get_photo_key(row: Row) -> str:
    return make_photo_key(row["image"], row.get("image_sha256"))


def _identify_image(row: Row) -> tuple[Any, ...]:
    settings = json.dumps([row.get("model"), row.get("model_sha256"), row.get("preprocessing")])
    return row.get("image"), row.get("target"), settings


def _identify_map(row: Row) -> str:
    return json.dumps(
        [row["image"], row["target"], row.get("seed"), *(row[name] for name in _METHOD)]
    )
