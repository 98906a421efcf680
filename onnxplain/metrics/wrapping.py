"""Plain functions made from metrics: `onnxplain.metrics.deletion` from `Deletion`, and so on.

A function takes the arguments of `judge` that its metric uses, and the metric's own
parameters; its signature and documentation come from `judge` and the metric's class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter
from itertools import takewhile
from typing import Any, get_type_hints

from onnxplain.core.params import list_parameters
from onnxplain.metrics.base import Metric, MetricResult
from onnxplain.metrics.judging import judge
from onnxplain.metrics.naming import takes_fill

SHARED = inspect.signature(judge).parameters


def make_function(
    name: str,
    metric_class: type[Metric],
    *,
    heatmap: bool = True,
    target: bool = True,
    build: Callable[..., Metric] | None = None,
) -> Callable[..., MetricResult]:
    """Make a function that builds a metric and judges one heatmap or fill by it.

    Parameters
    ----------
    name : str
        Name of the function in `onnxplain.metrics.functions`.
    metric_class : type of Metric
        Class of the metric; it decides whether the function takes boxes, fill and seed.
    heatmap, target : bool
        Whether the function takes a heatmap and a target.
    build : callable, optional
        Builds the metric from its own parameters; the class if not given.
    """
    builder: Callable[..., Metric] = build or metric_class
    own = _list_own_parameters(builder)
    signature = inspect.Signature(
        [
            *(SHARED["classifier"], SHARED["image"]),
            *([SHARED["heatmap"].replace(annotation="ArrayLike")] if heatmap else []),
            *(parameter for parameter in own if parameter.default is Parameter.empty),
            *([SHARED["target"]] if target else []),
            *([SHARED["boxes"].replace(default=Parameter.empty)] * metric_class.looks_at_boxes),
            *(
                parameter.replace(kind=Parameter.KEYWORD_ONLY)
                for parameter in own
                if parameter.default is not Parameter.empty
            ),
            *([SHARED["fill"], SHARED["seed"]] if takes_fill(metric_class) else []),
        ],
        return_annotation=MetricResult.__name__,
    )

    def function(*args: Any, **kwargs: Any) -> MetricResult:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}(): {error}") from None
        arguments = {"heatmap": None, **bound.arguments}
        values = {p.name: arguments.pop(p.name) for p in own if p.name in arguments}
        return judge(builder(**values), **arguments)

    function.__name__ = function.__qualname__ = name
    function.__module__ = "onnxplain.metrics.functions"
    function.__doc__ = _write_documentation(metric_class, builder, signature)
    function.__dict__["__signature__"] = signature
    return function


def _list_own_parameters(builder: Callable[..., Metric]) -> list[Parameter]:
    """List the parameters of a metric without its fill, with annotations as strings."""
    parameters = inspect.signature(builder).parameters.values()
    own = [parameter for parameter in parameters if parameter.name != "fill"]
    if not isinstance(builder, type):
        return own
    hints, declared = get_type_hints(builder), {p.name for p in list_parameters(builder)}
    return [
        parameter.replace(annotation=inspect.formatannotation(hints[parameter.name]))
        if parameter.name in declared
        else parameter
        for parameter in own
    ]


def _write_documentation(
    metric_class: type[Metric], builder: Callable[..., Metric], signature: inspect.Signature
) -> str:
    """Write the numpydoc of a function."""
    summary = (inspect.getdoc(metric_class) or "").partition("\n")[0].removesuffix(".")
    lines = [f"{summary}; {metric_class.direction} is better.", "", "Parameters", "----------"]
    lines += [", ".join(name for name in signature.parameters if name in SHARED)]
    usual_fill = f"; the usual fill is {usual}" if (usual := metric_class.usual_fill) else ""
    lines += [f"    As in `onnxplain.metrics.judge`{usual_fill}."]
    declared = {p.name: p.param for p in list_parameters(metric_class)}
    for name, parameter in signature.parameters.items():
        if name in SHARED:
            continue
        lines += [f"{name} : {parameter.annotation}"]
        if name in declared:
            sentence, bounds = declared[name].help, declared[name].bounds()
            lines += [f"    {sentence[:1].upper()}{sentence[1:]}{bounds and f'; {bounds}'}."]
        else:
            lines += _find_description(builder, name)
    lines += ["", "Returns", "-------", "score : MetricResult", f"    Unit: {metric_class.unit}."]
    lines += ["", "See Also", "--------"]
    lines += [f"onnxplain.metrics.{metric_class.__name__} : the metric, with its references."]
    return "\n".join(lines) + "\n"


def _find_description(builder: Callable[..., Metric], name: str) -> list[str]:
    """Find the lines that describe a parameter in the numpydoc of a class or function."""
    lines = iter((inspect.getdoc(builder) or "").splitlines())
    next((line for line in lines if line.startswith(f"{name} : ")), None)
    return list(takewhile(lambda line: line.startswith("    "), lines))
