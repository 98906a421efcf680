"""The tables of an evaluation as the page shows them: methods by metrics, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnxplain.core.markup import format_value
from onnxplain.report.charts import Chart, Curve, lay_out_chart
from onnxplain.report.material import StudyPart
from onnxplain.study.tables import Table

BAR = 100.0  # units of the width of an interval's drawing


@dataclass(frozen=True)
class Cell:
    """A mean with its interval; the drawing is in units from 0 to `BAR`."""

    mean: float
    text: str
    n: int
    note: str
    is_best: bool
    start: float
    middle: float
    end: float


@dataclass(frozen=True)
class MetricColumn:
    """A metric: its name, which values are better, and its unit."""

    name: str
    better: str
    unit: str


@dataclass(frozen=True)
class ModelTable:
    """The means of one classifier: a line per method with a cell per metric."""

    model: str
    metrics: tuple[MetricColumn, ...]
    lines: tuple[tuple[str, tuple[Cell | None, ...]], ...]


@dataclass(frozen=True)
class ShownStudy:
    """An evaluation, ready for the template."""

    name: str
    verdicts: str
    tables: tuple[ModelTable, ...]
    pairs: Table | None
    limits: tuple[str, ...]
    charts: tuple[Chart, ...]


def arrange_study(study: StudyPart, methods: Sequence[str]) -> ShownStudy:
    """Arrange the means of a study by classifier, method and metric.

    Parameters
    ----------
    study : StudyPart
        The study.
    methods : sequence of str
        Labels of the methods in the page: one has the same colour everywhere.
    """
    header = study.means.header
    lines = [dict(zip(header, line, strict=True)) for line in study.means.lines]
    models = dict.fromkeys(str(line["model"]) for line in lines)
    titles = dict.fromkeys(curve.title for curve in study.curves)
    known = list(dict.fromkeys([*methods, *study.curve_labels]))
    labelled = list(zip(study.curve_labels, study.curves, strict=True))
    return ShownStudy(
        study.name,
        study.verdicts,
        tuple(_arrange([line for line in lines if line["model"] == model]) for model in models),
        study.pairs,
        study.limits,
        tuple(
            lay_out_chart(
                title,
                [
                    Curve(label, walk.shares, walk.scores, known.index(label))
                    for label, walk in sorted(labelled, key=lambda pair: known.index(pair[0]))
                    if walk.title == title
                ],
                next(walk.way for walk in study.curves if walk.title == title),
            )
            for title in titles
        ),
    )


def format_cell(value: Any) -> str:
    """Format a cell of a table."""
    return "–" if value is None else format_value(value)


def _arrange(lines: Sequence[dict[str, Any]]) -> ModelTable:
    metrics = {
        str(line["metric"]): MetricColumn(
            str(line["metric"]), str(line["better"]), str(line["unit"])
        )
        for line in lines
    }
    methods = list(dict.fromkeys(str(line["method"]) for line in lines))
    cells = {
        (str(line["method"]), metric): _make_cell(line, lines)
        for line in lines
        for metric in [str(line["metric"])]
    }
    return ModelTable(
        str(lines[0]["model"]),
        tuple(metrics.values()),
        tuple(
            (method, tuple(cells.get((method, metric)) for metric in metrics)) for method in methods
        ),
    )


def _make_cell(line: dict[str, Any], lines: Sequence[dict[str, Any]]) -> Cell | None:
    """Make the cell of one mean; None if no image has a value."""
    if line["mean"] is None:
        return None
    own = [o for o in lines if o["metric"] == line["metric"] and o["mean"] is not None]
    ends = [_find_ends(o) for o in own]
    low, high = min(start for start, _ in ends), max(end for _, end in ends)
    means = [o["mean"] for o in own]
    best = min(means) if line["better"] == "lower" else max(means)

    def place(value: float) -> float:
        return round(4 + (BAR - 8) * (value - low) / (high - low), 1) if high > low else BAR / 2

    start, end = _find_ends(line)
    notes = []
    if line["photos"] < line["n"]:
        notes.append(f"of {line['photos']} photos")
    if line["alpha"] is not None:
        notes.append(f"threshold {line['alpha']:.3g}")
    notes += [f"{line[name]} {name}" for name in ("failed", "undefined") if line[name]]
    return Cell(
        line["mean"],
        f"{line['mean']:.4g}" + (f" [{start:.4g}, {end:.4g}]" if line["photos"] > 1 else ""),
        line["n"],
        ", ".join(notes),
        line["mean"] == best and len(own) > 1,
        place(start),
        place(line["mean"]),
        place(end),
    )


def _find_ends(line: dict[str, Any]) -> tuple[float, float]:
    """Return the ends of the interval of a mean; one photo has none, and is drawn as a point."""
    low, high, mean = line["95 % low"], line["95 % high"], line["mean"]
    return (mean, mean) if low is None or high is None else (low, high)
