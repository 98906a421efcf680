"""Judges: the metrics of a plan, with the fill, classifier or distance that each one uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from onnxplain.core.mistakes import check_is_value
from onnxplain.core.params import build, call_loader, describe_others, get_values
from onnxplain.core.protocols import Classifier, Fill, Inpainter
from onnxplain.metrics import FilledDistance, Metric
from onnxplain.metrics.by_model import BY_MODEL, Loader, Model, check_classes, make_by_model
from onnxplain.metrics.naming import read_metric_entry, set_fill, takes_fill
from onnxplain.registry import Entry, parse_entry
from onnxplain.runtime import OnnxDistance
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import NamedFill, check_distinct, make_named_fill, refuse_inpainter
from onnxplain.study.plan import Plan


class Judge(NamedTuple):
    """A metric with the fill and the model that it uses.

    Parameters
    ----------
    metric : Metric
        The metric with its parameters.
    fill : NamedFill or None
        The metric's own fill; None if it uses the method's fill or no fill.
    model : mapping
        The metric's own model, with everything that decides its answers; empty if none.
    class_names : tuple of str, optional
        The classes of that model, if it is a classifier.
    others : mapping
        Fields of a metric from elsewhere that are no declared hyperparameters.
    """

    metric: Metric
    fill: NamedFill | None = None
    model: Mapping[str, Any] = {}
    class_names: tuple[str, ...] | None = None
    others: Mapping[str, Any] = {}


def make_judges(
    plan: Plan, get_inpainter: Callable[[], Inpainter] = refuse_inpainter, *, device: str = "auto"
) -> list[Judge]:
    """Make the metrics of a plan, with the fills of their papers unless others are given.

    Parameters
    ----------
    plan : Plan
        Names the metrics.
    get_inpainter : callable
        Returns the inpainter; called only if a fill of a metric needs it.
    device : str
        Where the models of metrics run.

    Raises
    ------
    ValueError, TypeError
        If a metric, fill or parameter does not exist, or two judges are the same.
    OnnxplainError
        If a model cannot be loaded.
    """

    @cache  # several metrics may use one model, each with another fill
    def load_once(load: Callable[..., Any], name: str, *description: tuple[str, Any]) -> Any:
        return call_loader(load, name, {"device": device, **dict(description)})

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
                judge.others,
            )
            for judge in judges
        ]
    )
    return judges


def check_same_classes(judges: Sequence[Judge], class_names: Sequence[str]) -> None:
    """Check that every classifier that a metric uses has the classes of the explained one.

    Raises
    ------
    ValueError
        If the names differ, because equal indices would then be different classes.
    """
    for judge in judges:
        if judge.class_names is not None:
            model = str(judge.model["model"])
            check_classes(judge.metric.name, model, judge.class_names, class_names)


def check_boxes(judges: Sequence[Judge], items: Iterable[Item]) -> None:
    """Check that at least one image has a box if a metric uses boxes.

    Raises
    ------
    ValueError
        If such a metric would fail for every image.
    """
    looking = [judge.metric.name for judge in judges if judge.metric.looks_at_boxes]
    if looking and not any(item.boxes for item in items):
        raise ValueError(
            f"metric {looking[0]} needs boxes around the objects, but no image has any; give "
            f"annotations with xmin, ymin, xmax, ymax"
        )


def _make_judge(wanted: Entry, get_inpainter: Callable[[], Inpainter], loader: Loader) -> Judge:
    """Make a metric from its name and parameters."""
    metric_class, parameters, fill = read_metric_entry(wanted)
    fill = metric_class.usual_fill if fill is None else fill
    if wanted.name in BY_MODEL:
        judge = _describe_judge(*make_by_model(wanted.name, parameters, loader))
    else:
        judge = Judge(build(metric_class, parameters))
    return judge if fill is None else _give_fill(judge, parse_entry(fill), get_inpainter)


def _name_judge(metric: Metric, get_inpainter: Callable[[], Inpainter]) -> Judge:
    """Return the judge of a metric that is given as an object."""
    check_is_value(metric, "flow", "Deletion()", noun="metric", name="deletion")
    model: Mapping[str, Any] = {}
    if isinstance(metric, FilledDistance) and isinstance(metric.distance, OnnxDistance):
        model = metric.distance.provenance
    elif metric.name in BY_MODEL:
        raise ValueError(
            f"metric {metric.name} uses a function, which rows cannot name; give the metric by "
            f"its name, as '{metric.name}:model=NAME'"
        )
    others = describe_others(metric, "fill", *(("distance",) if model else ()))
    judge = Judge(metric, None, model, others=others)
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


def _describe_judge(metric: Metric, model: Model) -> Judge:
    """Return the judge of a metric that has a model of its own."""
    ran = model.provenance
    if isinstance(model, OnnxDistance):
        return Judge(metric, None, ran)
    facts = {
        "model": ran["model"],
        "sha256": ran["sha256"],
        "preprocessing": describe_preprocessing(model),
    }
    return Judge(metric, None, facts, model.class_names)


def describe_preprocessing(classifier: Classifier) -> Mapping[str, Any]:
    """Return the settings that decide how the classifier sees a photo, without their sources."""
    unrecorded = {"size": classifier.size, "outputs": classifier.outputs}
    described = classifier.provenance.get("preprocessing", unrecorded)
    return {name: value for name, value in described.items() if name != "sources"}
