"""The help of methods, fills and metrics, made from their classes."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from onnxplain import registry
from onnxplain.cli.parameters import format_notes, make_flag
from onnxplain.core.data import Layer, Tokens
from onnxplain.core.flow import NO_FILL, ByGradient, ByLayer, WhiteBox
from onnxplain.core.mistakes import describe_unknown
from onnxplain.core.params import Hyperparameter, list_parameters
from onnxplain.metrics import FilledDistance
from onnxplain.metrics.by_model import BY_MODEL
from onnxplain.metrics.naming import NAMED_METRICS, takes_fill
from onnxplain.registry import parse_entry

SIZE = (224, 224)  # of the image for which costs are told
LISTS: Mapping[str, Callable[[], Mapping[str, type[Any]]]] = {
    "methods": registry.get_methods,
    "fills": registry.get_fills,
    "metrics": lambda: NAMED_METRICS,
}
KINDS = {bool: "", int: "N", float: "X", str: "TEXT"}


def write_lists(formatter: click.HelpFormatter) -> None:
    """Write the names of all methods, a line each, and of all fills, for a long help."""
    with formatter.section("Methods"):
        room = formatter.width - max(map(len, registry.get_methods())) - 6
        formatter.write_dl(
            [
                (name, _cut(summarise(cls), room))
                for name, cls in sorted(registry.get_methods().items())
            ]
        )
        _write_twins(formatter)
    with formatter.section("Fills"):
        formatter.write_text(", ".join(registry.get_fills()))


def write_list(formatter: click.HelpFormatter, topic: str) -> None:
    """Write what all of a kind are: the methods, the fills or the metrics, one of `LISTS`."""
    with formatter.section(topic.capitalize()):
        formatter.write_dl([(name, summarise(cls)) for name, cls in sorted(LISTS[topic]().items())])
        if topic == "methods":
            _write_twins(formatter)


def write_named(formatter: click.HelpFormatter, given: Mapping[str, Any]) -> bool:
    """Write the help of the methods and fills that options name; return whether there is any."""
    asked = {"method": _list_names(given, "method"), "fill": _list_names(given, "fill")}
    try:
        for name in asked["method"]:
            write_method(formatter, name)
        for name in asked["fill"]:
            write_fill(formatter, name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return any(asked.values())


def write_method(formatter: click.HelpFormatter, name: str) -> None:
    """Write the help of a method.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    base, implied = registry.split_generative(name)
    cls = registry.get_methods()[base]
    _write_title(formatter, name, cls, "; removed pixels are inpainted" if implied else "")
    twins = [twin for twin, (method, _) in registry.GENERATIVE.items() if method == base]
    facts = [("Use", f"onnxplain explain photo.jpg --method {name}"), ("Cost", tell_cost(cls))]
    if cls.usual_fill == NO_FILL:
        facts.append(("Fill", "none: it removes nothing"))
    elif implied:
        facts.append(("Fill", "an inpainter: --inpainter, or the one that comes with onnxplain"))
    else:
        others = f"; {twins[0]} is this method with an inpainter" if twins else ""
        facts.append(("Fill", f"{cls.usual_fill}, or any other --fill{others}"))
    formatter.write_dl(facts)
    _write_parameters(formatter, cls, prefix="")


def write_fill(formatter: click.HelpFormatter, name: str) -> None:
    """Write the help of a fill.

    Raises
    ------
    ValueError
        If there is no such fill.
    """
    if name not in registry.get_fills():
        raise ValueError(f"fill {describe_unknown(name, registry.get_fills())}")
    cls = registry.get_fills()[name]
    _write_title(formatter, name, cls)
    formatter.write_dl([("Use", f"onnxplain explain photo.jpg --method sp --fill {name}")])
    _write_parameters(formatter, cls, prefix="fill-")


def write_metric(formatter: click.HelpFormatter, name: str, cls: type[Any]) -> None:
    """Write the help of a metric of `onnxplain evaluate`."""
    _write_title(formatter, name, cls)
    formatter.write_dl(
        [
            ("Use", f"onnxplain evaluate photos --metric {name}"),
            ("Unit", f"{cls.unit}; {cls.direction} is better"),
        ]
    )
    _write_parameters(formatter, cls, prefix=None, more=list_extra_keys(cls))


def list_extra_keys(cls: type[Any]) -> dict[str, str]:
    """Return what an entry of a metric takes beside its parameters, with the meanings."""
    keys = {}
    if cls.name in BY_MODEL:
        keys["model"] = (
            "an ONNX file of a distance between two images"
            if cls is FilledDistance
            else "another classifier: an ONNX file or a name in the zoo"
        )
    if takes_fill(cls):
        usual = cls.usual_fill or "that of the method"
        keys["fill"] = f"what stands in for removed pixels; {usual} if not given"
    return keys


def summarise(cls: type) -> str:
    """Return the first sentence or line of what a class does, without markup."""
    text = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
    return _strip_markup(text)


def find_papers(cls: type) -> list[str]:
    """Return the paper of a class: in the title of its module, or those that the class cites."""
    module, own = (inspect.getdoc(where) or "" for where in (sys.modules[cls.__module__], cls))
    title = " ".join(module.split("\n\n")[0].split())
    if re.search(r"\b(19|20)\d\d\)", title):
        return [title]
    listed = dict(re.findall(r"^\.\. \[(\d+)\] (.+(?:\n   .+)*)", f"{module}\n{own}", re.MULTILINE))
    cited = dict.fromkeys(re.findall(r"\[(\d+)\]_", own))
    return [_strip_markup(" ".join(listed[mark].split())) for mark in cited if mark in listed]


def _write_twins(formatter: click.HelpFormatter) -> None:
    formatter.write_text(f"With an inpainter as the fill: {', '.join(registry.GENERATIVE)}.")


def _list_names(given: Mapping[str, Any], option: str) -> list[str]:
    """Return the names that an option was given, which some commands take several times."""
    values = given.get(option) or given.get(f"{option}s") or []
    return [parse_entry(value).name for value in ([values] if isinstance(values, str) else values)]


def _write_title(formatter: click.HelpFormatter, name: str, cls: type, note: str = "") -> None:
    formatter.write_paragraph()
    formatter.write_text(f"{name}: {summarise(cls).rstrip('.')}{note}.")
    with formatter.indentation():
        for paper in find_papers(cls):
            formatter.write_text(paper)
    formatter.write_paragraph()


def tell_cost(cls: Any) -> str:
    """Say how many evaluations a method needs at its defaults."""
    try:
        method: Any = cls()
        if isinstance(method, WhiteBox):
            slopes = "" if method.wants.avoids_gradients else " and gradients"
            return f"evaluations{slopes} per image: {_count(method)}"
        if not isinstance(method, ByGradient):
            return f"evaluations per image: {_count(method)}"
        by_scores, by_slopes = (
            _count(method.settled(gradients=has_them)) for has_them in (False, True)
        )
    except (ValueError, TypeError):  # of another package, whose parameters have no defaults
        return "depends on the parameters"
    return f"evaluations per image: {by_slopes} with gradients, {by_scores} without"


def _counts_channels(method: Any) -> bool:
    """Return whether a method's evaluations depend on the channels of its layer."""
    if not isinstance(method, ByLayer):
        return False
    tokens = Tokens((1, 1), prefix=1, read=(0, 1))
    layers = (Layer("", "NCHW", n, (2, 2), tokens=tokens) for n in (1, 2))
    few, many = (method.at((layer,)) for layer in layers)
    return few.evaluations(SIZE) != many.evaluations(SIZE)


def _count(method: Any) -> str:
    """Format the number of evaluations, which depends on the image's size for some methods."""
    if _counts_channels(method):
        return f"{method.evaluations(SIZE)}, and 1 per channel of the layer"
    # Gradients are of one target, which does not end a method early; a tolerance does.
    ends_early = method.adaptive and not isinstance(method, WhiteBox)
    most = "at most " if ends_early or getattr(method, "tolerance", None) else ""
    small = tuple(side // 2 for side in SIZE)
    count = method.evaluations(SIZE)
    size = " (224 x 224 pixels)" if method.evaluations((small[0], small[1])) != count else ""
    return f"{most}{count:,}{size}"


def _write_parameters(
    formatter: click.HelpFormatter,
    cls: type,
    *,
    prefix: str | None,
    more: Mapping[str, str] | None = None,
) -> None:
    """Write the parameters, as options with a prefix or as keys if it is None, and more keys."""
    rows = []
    for declared in list_parameters(cls):
        meaning = f"{declared.param.help[0].upper()}{declared.param.help[1:]}."
        notes = format_notes(declared)
        rows.append(
            (_format_usage(declared, prefix), f"{meaning}  [{notes}]" if notes else meaning)
        )
    rows += [(f"{key}=NAME", f"{text[0].upper()}{text[1:]}.") for key, text in (more or {}).items()]
    if not rows:
        formatter.write_paragraph()
        formatter.write_text("It has no parameters.")
        return
    with formatter.section("Parameters"):
        formatter.write_dl(rows)


def _format_usage(declared: Hyperparameter, prefix: str | None) -> str:
    kind = "|".join(declared.choices) or KINDS[declared.type]
    if prefix is None:
        return f"{declared.name}={kind or 'true|false'}"
    flag = make_flag(prefix, declared.name)
    if declared.type is bool:
        return f"{flag} / --no-{flag[2:]}"
    return " ".join([flag, *[kind] * (declared.length or 1)])


def _strip_markup(text: str) -> str:
    text = re.sub(r",?\s*\[\d+\]_", "", text).replace("``", "")
    return re.sub(r":(\w+):`([^`]*)`", r"\1:\2", text).replace("`", "")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3].rstrip()}..."
