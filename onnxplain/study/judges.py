"""The metrics of a plan, with what they judge by: fills, another classifier, a distance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from onnxplain.core.params import build, check_is_value, get_values
from onnxplain.core.protocols import Fill, Inpainter
from onnxplain.loading import load
from onnxplain.metrics import METRICS, FilledDistance, Metric, StillRecognised, make_recogniser
from onnxplain.metrics.naming import read_metric_entry, set_fill, takes_fill
from onnxplain.registry import Entry, parse_entry
from onnxplain.runtime import OnnxClassifier, OnnxDistance, load_distance
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import (
    NamedFill,
    call_loader,
    check_distinct,
    make_named_fill,
    refuse_inpainter,
)
from onnxplain.study.plan import Plan

# Loads a model once: called with a loading function, a name and pairs of parameter and value.
Loader: TypeAlias = Callable[..., Any]

JUDGES: Mapping[str, type[Metric]] = {**METRICS, FilledDistance.name: FilledDistance}


class Judge(NamedTuple):
    """A metric, and what it judges by.

    Parameters
    ----------
    metric : Metric
        With its parameters.
    fill : NamedFill or None
        Its own fill; None where it judges the method's fill or uses none.
    model : mapping
        The model of its own, with all that decides its answers; empty where it has none.
    class_names : tuple of str, optional
        The classes of that model, if it is a classifier.
    """

    metric: Metric
    fill: NamedFill | None = None
    model: Mapping[str, Any] = {}
    class_names: tuple[str, ...] | None = None


def make_judges(
    plan: Plan, get_inpainter: Callable[[], Inpainter] = refuse_inpainter, *, device: str = "auto"
) -> list[Judge]:
    """Make the metrics of a plan, with fills of their own where their papers have one.

    Parameters
    ----------
    plan : Plan
        Its metrics.
    get_inpainter : callable
        Returns the inpainter; called only if a fill of a metric needs it.
    device : str
        Where the models of metrics run.

    Raises
    ------
    ValueError, TypeError
        If there is no such metric, fill or parameter, or two are the same.
    OnnxplainError
        If a model cannot be loaded.
    """

    @cache  # several metrics may judge by one model, each with another fill
    def load_once(load: Callable[..., Any], name: str, *description: tuple[str, Any]) -> Any:
        return call_loader(load, name, device=device, **dict(description))

    judges = [
        _make_judge(wanted, get_inpainter, load_once)
        if isinstance(wanted, Entry)
        else _name_judge(wanted, get_inpainter)
        for wanted in plan.metrics
    ]
    check_distinct(
        [
            (
                judge.metric.name,
                get_values(judge.metric),
                judge.fill and (judge.fill.name, judge.fill.parameters),
                judge.model,
            )
            for judge in judges
        ]
    )
    return judges


def check_same_classes(judges: Sequence[Judge], class_names: Sequence[str]) -> None:
    """Check that no metric judges by a model with other classes than the classifier explained.

    Raises
    ------
    ValueError
        If the names differ: the answers would mean other things.
    """
    for judge in judges:
        if judge.class_names is None or tuple(judge.class_names) == tuple(class_names):
            continue
        pairs = zip(judge.class_names, class_names, strict=False)
        different = next(((own, other) for own, other in pairs if own != other), None)
        why = (
            f"it calls {different[0]!r} what the classifier explained calls {different[1]!r}"
            if different
            else f"it has {len(judge.class_names)} classes and that one {len(class_names)}"
        )
        raise ValueError(
            f"{judge.model['model']} cannot judge by {judge.metric.name}: {why}; where both know "
            f"the same classes in the same order, give it the same names by labels=FILE"
        )


def check_boxes(judges: Sequence[Judge], items: Iterable[Item]) -> None:
    """Check that some image has a box if a metric looks at boxes.

    Raises
    ------
    ValueError
        If such a metric would fail for every image.
    """
    looking = [judge.metric.name for judge in judges if judge.metric.looks_at_boxes]
    if looking and not any(item.boxes for item in items):
        raise ValueError(
            f"metric {looking[0]} needs boxes around the objects, and no image has any; give "
            f"--annotations with xmin, ymin, xmax, ymax"
        )


def _make_judge(wanted: Entry, get_inpainter: Callable[[], Inpainter], loader: Loader) -> Judge:
    """Make a metric from its name and parameters."""
    metric_class, parameters, fill = read_metric_entry(wanted, JUDGES)
    fill = metric_class.usual_fill if fill is None else fill
    if wanted.name in BY_MODEL:
        judge = BY_MODEL[wanted.name](parameters, loader)
    else:
        judge = Judge(build(metric_class, parameters))
    return judge if fill is None else _give_fill(judge, parse_entry(fill), get_inpainter)


def _name_judge(metric: Metric, get_inpainter: Callable[[], Inpainter]) -> Judge:
    """Return a judge for a metric that is given as a value."""
    check_is_value(metric, "flow", "Deletion()", noun="metric", name="deletion")
    model: Mapping[str, Any] = {}
    if isinstance(metric, FilledDistance) and isinstance(metric.distance, OnnxDistance):
        model = metric.distance.provenance
    elif metric.name in BY_MODEL:
        raise ValueError(
            f"metric {metric.name} judges by a function that rows cannot name; give the metric by "
            f"its name, as '{metric.name}:model=NAME'"
        )
    judge = Judge(metric, None, model)
    if not takes_fill(type(metric)):
        return judge
    own: Fill | None = getattr(metric, "fill", None)
    if own is None and metric.usual_fill is None:
        return judge
    fill = Entry(str(metric.usual_fill)) if own is None else own
    return _give_fill(judge, fill, get_inpainter)


def _give_fill(judge: Judge, fill: Entry | Fill, get_inpainter: Callable[[], Inpainter]) -> Judge:
    named = make_named_fill(fill, get_inpainter)
    return judge._replace(metric=set_fill(judge.metric, named.fill), fill=named)


def _judge_by_classifier(parameters: Mapping[str, Any], loader: Loader) -> Judge:
    name, description = _split_model(StillRecognised.name, parameters)
    other: OnnxClassifier = loader(load, name, *description)
    ran = other.provenance
    facts = {
        "model": ran["model"],
        "sha256": ran["sha256"],
        "preprocessing": {
            key: value for key, value in ran["preprocessing"].items() if key != "sources"
        },
    }
    return Judge(StillRecognised(recognise=make_recogniser(other)), None, facts, other.class_names)


def _judge_by_distance(parameters: Mapping[str, Any], loader: Loader) -> Judge:
    name, description = _split_model(FilledDistance.name, parameters)
    distance: OnnxDistance = loader(load_distance, name, *description)
    return Judge(FilledDistance(distance), None, distance.provenance)


# What recognises a filled image should be another classifier than the one explained, and a
# distance is a model as well. Parameters other than the model and the fill describe the model.
BY_MODEL: Mapping[str, Callable[[Mapping[str, Any], Loader], Judge]] = {
    StillRecognised.name: _judge_by_classifier,
    FilledDistance.name: _judge_by_distance,
}


def _split_model(metric: str, parameters: Mapping[str, Any]) -> tuple[str, list[tuple[str, Any]]]:
    """Return the name of a metric's model, and the parameters that describe it."""
    description = dict(parameters)
    name = str(description.pop("model", ""))
    if not name:
        kind = "an ONNX file" if metric == FilledDistance.name else "another classifier"
        raise ValueError(f"metric {metric} judges by {kind}; name it: {metric}:model=NAME")
    return name, sorted(description.items())
