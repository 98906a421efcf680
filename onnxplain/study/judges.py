"""The metrics of a plan, with what they judge by: fills, another classifier, a distance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from onnxplain.core.params import build, describe_unknown, get_values
from onnxplain.core.protocols import Inpainter
from onnxplain.loading import load
from onnxplain.metrics import METRICS, FilledDistance, Metric, StillRecognised, make_recogniser
from onnxplain.registry import Entry, parse_entry
from onnxplain.runtime import OnnxClassifier, OnnxDistance, load_distance
from onnxplain.study.dataset import Item
from onnxplain.study.plan import (
    NamedFill,
    Plan,
    call_loader,
    check_distinct,
    make_named_fill,
    no_inpainter,
)

# Loads a model by name, described by names and values, once.
Loader: TypeAlias = Callable[..., Any]

JUDGES: Mapping[str, type[Metric]] = {**METRICS, FilledDistance.name: FilledDistance}


class Judge(NamedTuple):
    """A metric, and what it judges by.

    Parameters
    ----------
    metric : Metric
        With its parameters.
    fill : Named or None
        Its own fill; None where it judges the method's or has none.
    model : mapping
        The model of its own, with all that decides its answers; empty where it has none.
    class_names : tuple of str, optional
        Of that model, if it is a classifier.
    """

    metric: Metric
    fill: NamedFill | None = None
    model: Mapping[str, Any] = {}
    class_names: tuple[str, ...] | None = None


def make_judges(
    plan: Plan, inpainter: Callable[[], Inpainter] = no_inpainter, *, device: str = "auto"
) -> list[Judge]:
    """The metrics of a plan, with fills of their own where their papers have one.

    Parameters
    ----------
    plan : Plan
        Its metrics.
    inpainter : callable
        Gives the inpainter; called only if a fill of a metric needs it.
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
    def model(load: Callable[..., Any], name: str, *described: tuple[str, Any]) -> Any:
        return call_loader(load, name, device=device, **dict(described))

    found = [_judge(wanted, inpainter, model) for wanted in plan.metrics]
    check_distinct(
        [(j.metric.name, get_values(j.metric), _identity(j.fill), j.model) for j in found]
    )
    return found


def check_same_classes(judging: Sequence[Judge], class_names: Sequence[str]) -> None:
    """Refuse a judge that knows other classes than the classifier explained.

    Raises
    ------
    ValueError
        If the names differ: its answers would mean other things.
    """
    for one in judging:
        if one.class_names is None or tuple(one.class_names) == tuple(class_names):
            continue
        pairs = zip(one.class_names, class_names, strict=False)
        different = next(((a, b) for a, b in pairs if a != b), None)
        why = (
            f"it calls {different[0]!r} what the classifier explained calls {different[1]!r}"
            if different
            else f"it has {len(one.class_names)} classes and that one {len(class_names)}"
        )
        raise ValueError(
            f"{one.model['model']} cannot judge by {one.metric.name}: {why}; where both know the "
            f"same classes in the same order, give it the same names by labels=FILE"
        )


def check_boxes(judging: Sequence[Judge], items: Iterable[Item]) -> None:
    """Refuse a metric that looks at boxes where no image has any.

    Raises
    ------
    ValueError
        If it would fail for every image.
    """
    looking = [one.metric.name for one in judging if one.metric.looks_at_boxes]
    if looking and not any(item.boxes for item in items):
        raise ValueError(
            f"metric {looking[0]} needs boxes around the objects, and no image has any; give "
            f"--annotations with xmin, ymin, xmax, ymax"
        )


def _judge(wanted: Entry, inpainter: Callable[[], Inpainter], model: Loader) -> Judge:
    if wanted.name not in JUDGES:
        raise ValueError(f"metric {describe_unknown(wanted.name, JUDGES)}")
    parameters = dict(wanted.parameters)
    given = parameters.pop("fill", JUDGES[wanted.name].usual_fill)
    if wanted.name in BY_MODEL:
        judge = BY_MODEL[wanted.name](parameters, model)
    else:
        judge = Judge(build(JUDGES[wanted.name], parameters))
    if given is None:
        return judge
    metric: Any = judge.metric
    if "fill" not in {one.name for one in fields(metric)}:
        raise ValueError(f"metric {wanted.name} removes nothing and takes no fill, got {given!r}")
    fill = make_named_fill(parse_entry(given), inpainter)
    return judge._replace(metric=replace(metric, fill=fill.fill), fill=fill)


def _by_classifier(parameters: Mapping[str, Any], model: Loader) -> Judge:
    name, description = _model_of(StillRecognised.name, parameters)
    other: OnnxClassifier = model(load, name, *description)
    ran = other.provenance
    facts = {
        "model": ran["model"],
        "sha256": ran["sha256"],
        "preprocessing": {k: v for k, v in ran["preprocessing"].items() if k != "sources"},
    }
    return Judge(StillRecognised(recognise=make_recogniser(other)), None, facts, other.class_names)


def _by_distance(parameters: Mapping[str, Any], model: Loader) -> Judge:
    name, description = _model_of(FilledDistance.name, parameters)
    distance: OnnxDistance = model(load_distance, name, *description)
    return Judge(FilledDistance(distance), None, distance.provenance)


# What recognises a filled image should be another classifier than the one explained, and a
# distance is a model as well. Other parameters than the model and the fill describe it.
BY_MODEL: Mapping[str, Callable[[Mapping[str, Any], Loader], Judge]] = {
    StillRecognised.name: _by_classifier,
    FilledDistance.name: _by_distance,
}


def _model_of(metric: str, parameters: Mapping[str, Any]) -> tuple[str, list[tuple[str, Any]]]:
    """The model of a metric, and what else is said of it."""
    description = dict(parameters)
    name = str(description.pop("model", ""))
    if not name:
        what = "an ONNX file" if metric == FilledDistance.name else "another classifier"
        raise ValueError(f"metric {metric} judges by {what}; name it: {metric}:model=NAME")
    return name, sorted(description.items())


def _identity(fill: NamedFill | None) -> tuple[Any, ...] | None:
    return fill and (fill.name, fill.parameters)
