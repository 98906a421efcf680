"""What the program says of each method, fill and metric: paper, cost, parameters, picture."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from command_pages import escape

from onnxplain import registry
from onnxplain.cli.parameters import format_notes, make_flag
from onnxplain.cli.topics import find_papers, list_extra_keys, summarise, tell_cost
from onnxplain.core.flow import NO_FILL, ByGradient, WhiteBox
from onnxplain.core.params import Hyperparameter, list_parameters
from onnxplain.metrics.naming import NAMED_METRICS

AUTHORS = re.compile(r"([^,]+(?:, [^,]+)* & [^,]+|[^,]+ et al\.|[^,]+),")
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
KINDS = {  # of methods, by the folder of their module
    "scores": "Methods that remove parts of the photo",
    "masks": "Methods that remove parts of the photo",
    "layers": "Methods that look at layers",
    "gradients": "Methods that follow gradients to the pixels",
    "relevance": "Methods that hand the score down, layer by layer",
}
PICTURES = Path(__file__).resolve().parents[1] / "_static" / "methods"


def format_entries() -> str:
    """Return the methods, fills and metrics, each with its parameters."""
    parts = ["## Methods", ""]
    for name, cls in sorted(registry.get_methods().items()):
        parts += [
            *_head(name, cls, "method-"),
            *_show_picture(name),
            f"Cost: {tell_cost(cls)}.",
            "",
        ]
        parts += [_tell_fill(name, cls), "", *_list_parameters(cls, "")]
    parts += ["## Fills", ""]
    for name, cls in registry.get_fills().items():
        parts += [*_head(name, cls, "fill-"), *_list_parameters(cls, "fill-")]
    parts += ["## Metrics", ""]
    for name, cls in NAMED_METRICS.items():
        parts += [*_head(name, cls, "metric-"), f"In {cls.unit}; {cls.direction} is better.", ""]
        parts += _list_parameters(cls, None, list_extra_keys(cls))
    return "\n".join(parts)


def format_costs() -> str:
    """Return the table of methods: what each asks for, and how often."""
    rows = ["| method | paper | asks for | evaluations per image |"]
    rows.append("|---|---|---|---|")
    for name, cls in sorted(registry.get_methods().items()):
        papers = "; ".join(map(_shorten, find_papers(cls)))
        link = f"[`{name}`](#method-{_anchor(name)})"
        cost = tell_cost(cls).rpartition("per image: ")[2]
        rows.append(f"| {link} | {escape(papers)} | {_tell_need(cls)} | {cost} |")
    return "\n".join(rows) + "\n"


def format_pictures() -> str:
    """Return grids of small pictures: one photo under all methods, by kind of method."""
    facts = json.loads((PICTURES / "pictures.json").read_text())
    tiles: dict[str, list[str]] = {title: [] for title in KINDS.values()}
    for name, fact in facts.items():
        room = registry.get_methods()[registry.split_generative(name)[0]].__module__.split(".")[2]
        tiles.setdefault(KINDS.get(room, "Others"), []).append(_format_tile(name, fact))
    lines = ["```{raw} html"]
    for title, members in tiles.items():
        lines += [f'<p class="tiles-title">{title}</p>', '<div class="tiles">', *members, "</div>"]
    return "\n".join([*lines, "```", ""])


def _format_tile(name: str, fact: Mapping[str, Any]) -> str:
    base, generative = registry.split_generative(name)
    counts = _count(fact["evaluations"], "evaluation")
    counts += f", {_count(fact['inpaints'], 'inpaint')}" if generative else ""
    return (
        f'<a class="tile" href="reference/parameters.html#method-{_anchor(base)}">'
        f'<img src="_static/methods/{_find_picture(name).name}" alt="{name}: {fact["meaning"]}" '
        f'width="224" height="224" loading="lazy"><b>{name}</b><span>{counts}</span></a>'
    )


def _head(name: str, cls: type, prefix: str) -> list[str]:
    papers = "; ".join(find_papers(cls))
    lines = [f"({prefix}{_anchor(name)})=", f"### {name}", ""]
    lines += [f"{escape(summarise(cls)).rstrip('.')}.", ""]
    return [*lines, f"*{escape(papers)}*", ""] if papers else lines


def _show_picture(name: str) -> list[str]:
    picture = _find_picture(name)
    if not picture.exists():  # of a method that is newer than the pictures
        return []
    return [f"![{name} on a photo](../_static/methods/{picture.name}){{.example}}", ""]


def _find_picture(name: str) -> Path:
    return PICTURES / f"{name.replace('+', 'plus')}.jpg"


def _tell_fill(name: str, cls: Any) -> str:
    if cls.usual_fill == NO_FILL:
        return "Removes nothing, so it takes no fill."
    twins = [twin for twin, (method, _) in registry.GENERATIVE.items() if method == name]
    other = f"; with an inpainter it is called `{twins[0]}`" if twins else ""
    return f"Fills with `{cls.usual_fill}`, or any other `--fill`{other}."


def _tell_need(cls: Any) -> str:
    try:
        method: Any = cls()
    except (ValueError, TypeError):  # of another package
        return "see its page"
    if isinstance(method, WhiteBox):
        if not hasattr(cls, "at"):
            return "gradients"
        return "a layer" if method.wants.avoids_gradients else "a layer and its gradient"
    return "gradients, or scores" if isinstance(method, ByGradient) else "scores"


def _list_parameters(
    cls: type, prefix: str | None, more: Mapping[str, str] | None = None
) -> list[str]:
    declared = list_parameters(cls)
    if not (declared or more):
        return ["It has no parameters.", ""]
    key = "option" if prefix is not None else "key"
    lines = [f"| {key} | in Python | meaning | default and range |", "|---|---|---|---|"]
    for parameter in declared:
        notes = format_notes(parameter, *parameter.choices).replace("|", ", ")
        lines.append(
            f"| `{_name_option(parameter, prefix)}` | `{parameter.name}` "
            f"| {escape(parameter.param.help)} | {escape(notes)} |"
        )
    for extra, text in (more or {}).items():
        python = f"`{extra}`" if extra == "fill" else ""  # models are given as values
        lines.append(f"| `{extra}` | {python} | {escape(text)} | |")
    return [*lines, ""]


def _name_option(parameter: Hyperparameter, prefix: str | None) -> str:
    return parameter.name if prefix is None else make_flag(prefix, parameter.name)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _anchor(name: str) -> str:
    return name.replace("+", "plus")


def _shorten(paper: str) -> str:
    """Return authors and year of a paper: ``Petsiuk, Das & Saenko 2018``."""
    _, bracket, rest = paper.partition("(")
    text = rest if bracket and YEAR.search(rest) else paper
    authors, year = AUTHORS.match(text), YEAR.search(text)
    return f"{authors[1]} {year[0]}" if authors and year else paper
