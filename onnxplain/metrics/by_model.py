"""Metrics with a model of their own, by its name: ``still-recognised:model=efficientnet-lite2``.

The model is another classifier than the one explained, or a distance between two images. All
parameters but `model` and `fill` describe it, as the parameters of its loading function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from onnxplain.core.params import call_loader
from onnxplain.loading import load
from onnxplain.metrics.base import Metric
from onnxplain.metrics.fills.filling import FilledDistance, StillRecognised, make_recogniser
from onnxplain.runtime import OnnxClassifier, OnnxDistance, load_distance

Model: TypeAlias = OnnxClassifier | OnnxDistance
# Loads a model; takes a loading function, a name, and pairs of parameter and value.
Loader: TypeAlias = Callable[..., Any]

BY_MODEL: Mapping[str, type[Metric]] = {
    metric.name: metric for metric in (StillRecognised, FilledDistance)
}


def load_model(load: Callable[..., Any], name: str, *description: tuple[str, Any]) -> Any:
    """Load a model on the device that its description or `auto` says."""
    return call_loader(load, name, dict(description))


def make_by_model(
    metric: str, parameters: Mapping[str, Any], loader: Loader = load_model
) -> tuple[Metric, Model]:
    """Load the model of a metric of `BY_MODEL`, and make the metric with it.

    Raises
    ------
    ValueError
        If no model is named, or its loading function does not take a parameter.
    OnnxplainError
        If the model cannot be loaded.
    """
    description = dict(parameters)
    name = str(description.pop("model", ""))
    if not name:
        kind = "an ONNX file" if metric == FilledDistance.name else "another classifier"
        raise ValueError(f"metric {metric} needs {kind}; name it: {metric}:model=NAME")
    pairs = sorted(description.items())
    if metric == FilledDistance.name:
        distance: OnnxDistance = loader(load_distance, name, *pairs)
        return FilledDistance(distance), distance
    other: OnnxClassifier = loader(load, name, *pairs)
    return StillRecognised(recognise=make_recogniser(other)), other


def check_classes(metric: str, model: str, own: Sequence[str], class_names: Sequence[str]) -> None:
    """Check that a metric's classifier has the classes of the one that is explained.

    Raises
    ------
    ValueError
        If the names differ, because equal indices would then be different classes.
    """
    if tuple(own) == tuple(class_names):
        return
    pairs = zip(own, class_names, strict=False)
    different = next(((name, other) for name, other in pairs if name != other), None)
    why = (
        f"its class {different[0]!r} is {different[1]!r} in the explained classifier"
        if different
        else f"it has {len(own)} classes, the explained classifier {len(class_names)}"
    )
    raise ValueError(
        f"{model} cannot be the model of {metric}: {why}; if both have the same classes in the "
        f"same order, give it the same names with labels=FILE"
    )
