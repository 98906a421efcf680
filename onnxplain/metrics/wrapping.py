"""Plain functions made from metrics: `onnxplain.metrics.deletion` from `Deletion`, and so on.

A function takes the arguments of `judge` that its metric uses, and the metric's own
parameters; its signature and documentation come from `judge` and the metric's class.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from inspect import Parameter
from itertools import takewhile
from typing import Any, get_type_hints

from onnxplain.core.params import Param, list_parameters
from onnxplain.metrics.base import Metric, MetricResult
from onnxplain.metrics.judging import judge
from onnxplain.metrics.naming import takes_fill

# How the examples call what a function needs.
EXAMPLES = {
    "image": '"photo.jpg"',
    "heatmap": "explanation",
    "boxes": "boxes=[onnxplain.Box(10, 20, 90, 120)]",
}
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
    function.__doc__ = _write_documentation(name, metric_class, builder, signature)
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
    name: str,
    metric_class: type[Metric],
    builder: Callable[..., Metric],
    signature: inspect.Signature,
) -> str:
    """Write the numpydoc of a function from those of `judge` and of the metric's class."""
    summary = (inspect.getdoc(metric_class) or "").partition("\n")[0].removesuffix(".")
    lines = [f"{summary}; {metric_class.direction} is better.", "", "Parameters", "----------"]
    declared = {p.name: p.param for p in list_parameters(metric_class)}
    for parameter in signature.parameters.values():
        lines += _describe_parameter(parameter, metric_class, builder, declared)
    lines += ["", "Returns", "-------", "score : MetricResult"]
    lines += [f"    A number. Unit: {metric_class.unit}. The facts behind it are in its details."]
    lines += ["", *_find_section(inspect.getdoc(judge), "Raises")]
    lines += ["", "See Also", "--------"]
    lines += [f"onnxplain.metrics.{metric_class.__name__} : the metric as a value, with notes."]
    if sources := _find_section(sys.modules[metric_class.__module__].__doc__, "References"):
        lines += ["", *sources]
    needed = [EXAMPLES.get(p.name, p.name) for p in signature.parameters.values() if _is_needed(p)]
    lines += ["", "Examples", "--------"]
    lines += [f">>> score = onnxplain.metrics.{name}({', '.join(needed)})  # doctest: +SKIP"]
    lines += [">>> float(score), score.details  # doctest: +SKIP"]
    return "\n".join(lines) + "\n"


def _is_needed(parameter: Parameter) -> bool:
    return parameter.default is Parameter.empty


def _describe_parameter(
    parameter: Parameter,
    metric_class: type[Metric],
    builder: Callable[..., Metric],
    declared: Mapping[str, Param],
) -> list[str]:
    """Describe a parameter: its type, meaning, range and default."""
    name = parameter.name
    if name in SHARED:
        lines = _find_description(judge, name)
        if name == "fill" and metric_class.usual_fill:
            lines += [f"    The usual fill is {metric_class.usual_fill}."]
        return lines
    first = f"{name} : {parameter.annotation}"
    if name not in declared:
        return [first, *_find_description(builder, name)[1:]]
    bounds = declared[name].bounds()
    text = f"{declared[name].help}{bounds and f'; {bounds}'}"
    if parameter.default not in (Parameter.empty, None):
        text += f"; {parameter.default!r} if not given"
    return [first, f"    {text[:1].upper()}{text[1:]}."]


def _find_section(text: str | None, title: str) -> list[str]:
    """Find a section of a numpydoc, with its title; nothing if there is none."""
    lines = inspect.cleandoc(text or "").splitlines()
    if title not in lines:
        return []
    start = lines.index(title)
    ends = (i - 1 for i, line in enumerate(lines) if i > start + 1 and set(line) == {"-"})
    section = lines[start : next(ends, len(lines))]
    while not section[-1].strip():
        section.pop()
    return section


def _find_description(builder: Callable[..., Any], name: str) -> list[str]:
    """Find the lines that describe a parameter in the numpydoc of a class or function."""
    lines = iter((inspect.getdoc(builder) or "").splitlines())
    first = next((line for line in lines if line.startswith(f"{name} : ")), f"{name} :")
    return [first, *takewhile(lambda line: line.startswith("    "), lines)]
