"""Metrics by name, with parameters and a fill: ``deletion:step=500,fill=blur``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

from onnxplain.core.mistakes import check_is_value, describe_unknown
from onnxplain.core.params import build
from onnxplain.core.protocols import Fill
from onnxplain.metrics.base import Metric
from onnxplain.metrics.by_model import BY_MODEL, check_classes, make_by_model
from onnxplain.metrics.fills.filling import FilledSimilarity, StillRecognised
from onnxplain.metrics.fills.neutrality import FillScore
from onnxplain.metrics.fills.off_object import OffObjectChange
from onnxplain.metrics.heatmaps.curves import Deletion, Insertion
from onnxplain.metrics.heatmaps.localisation import LocalisationError
from onnxplain.metrics.heatmaps.neutral import NeutralDeletion, NeutralInsertion
from onnxplain.metrics.heatmaps.pointing import PointingGame
from onnxplain.metrics.heatmaps.regions import ABPC, LeRF, MoRF
from onnxplain.metrics.heatmaps.saliency import SaliencyMetric
from onnxplain.registry import Entry, make_fill, parse_entry
from onnxplain.runtime import OnnxClassifier

# The metrics that judge a heatmap or a fill of one case and need only their parameters.
METRICS: Mapping[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        *(
            Deletion,
            Insertion,
            NeutralDeletion,
            NeutralInsertion,
            LocalisationError,
            PointingGame,
            SaliencyMetric,
        ),
        *(MoRF, LeRF, ABPC, FillScore, StillRecognised, FilledSimilarity, OffObjectChange),
    )
}
# All that have a name; those of `BY_MODEL` may have a model of their own, or need one.
NAMED_METRICS: Mapping[str, type[Metric]] = {**METRICS, **BY_MODEL}


class MetricEntry(NamedTuple):
    """A metric's class, with the parameters and the fill that an entry gives it.

    Parameters
    ----------
    metric_class : type of Metric
        The class, not built yet.
    parameters : mapping
        All parameters but the fill.
    fill : str or mapping, optional
        For `onnxplain.registry.parse_entry`; None if the entry names no fill.
    """

    metric_class: type[Metric]
    parameters: Mapping[str, Any]
    fill: str | Mapping[str, Any] | None


def read_metric_entry(entry: Entry) -> MetricEntry:
    """Look up a metric by name and split its fill from its other parameters.

    Parameters
    ----------
    entry : Entry
        From `onnxplain.registry.parse_entry`.

    Raises
    ------
    ValueError
        If there is no such metric, or the entry gives a fill to a metric that takes none.
    """
    if entry.name not in NAMED_METRICS:
        raise ValueError(f"metric {describe_unknown(entry.name, NAMED_METRICS)}")
    metric_class: Any = NAMED_METRICS[entry.name]
    parameters = dict(entry.parameters)
    fill = parameters.pop("fill", None)
    if fill is not None and not takes_fill(metric_class):
        raise ValueError(f"metric {entry.name} removes nothing and takes no fill, got {fill!r}")
    return MetricEntry(metric_class, parameters, fill)


def to_metric(metric: Metric | str, class_names: Sequence[str] = ()) -> Metric:
    """Return the metric itself, or make it from its name with parameters.

    Parameters
    ----------
    metric : Metric or str
        A metric, or its name; ``model=NAME`` gives those of `BY_MODEL` their model.
    class_names : sequence of str
        Classes of the classifier explained, which a classifier named as the metric's model
        must share; empty if they have no names.

    Raises
    ------
    ValueError, TypeError
        If there is no such metric, parameter or fill, if the value is not a metric, or if the
        model of the metric has other classes.
    OnnxplainError
        If the model of the metric cannot be loaded.

    Examples
    --------
    >>> to_metric("deletion:step=500")
    Deletion(step=500, ties='row-major', fill=None)
    """
    if not isinstance(metric, str):
        check_is_value(metric, "flow", "Deletion()", noun="metric", name="deletion")
        return metric
    entry = parse_entry(metric)
    metric_class, parameters, fill = read_metric_entry(entry)
    if ("model" in parameters and entry.name in BY_MODEL) or entry.name not in METRICS:
        built, model = make_by_model(entry.name, parameters)
        if class_names and isinstance(model, OnnxClassifier):
            check_classes(entry.name, str(parameters["model"]), model.class_names, class_names)
    else:
        built = build(metric_class, parameters)
    if fill is None:
        return built
    fill_entry = parse_entry(fill)
    return set_fill(built, make_fill(fill_entry.name, fill_entry.parameters))


def set_fill(metric: Metric, fill: Fill) -> Metric:
    """Return the metric with a fill of its own."""
    owner: Any = metric  # a dataclass with a field `fill`, which the protocol cannot express
    changed: Metric = replace(owner, fill=fill)
    return changed


def takes_fill(metric_class: Any) -> bool:
    """Return whether a metric can have a fill of its own."""
    return is_dataclass(metric_class) and any(f.name == "fill" for f in fields(metric_class))
