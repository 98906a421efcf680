"""A page per public name, and the lists that lead to them; the names stand in ``__init__.pyi``."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

from command_pages import escape
from files import write_if_new
from sphinx.application import Sphinx
from sphinx.util import logging

import onnxplain
import onnxplain.metrics
from onnxplain import registry

log = logging.getLogger(__name__)

PACKAGE = Path(onnxplain.__file__).parent
EXPORT = re.compile(r"^from \.([\w.]*) import \w+ as (\w+)$", re.MULTILINE)
# The first part of the module where a name lives, and the heading of its list, in their order.
HEADINGS = {
    "api": "Explaining",
    "results": "Explaining",
    "loading": "Classifiers, inpainters and graphs",
    "runtime": "Classifiers, inpainters and graphs",
    "methods": "Methods",
    "fills": "Fills",
    "study": "Evaluating",
    "core": "Values and errors",
}
METRIC_HEADINGS = {
    "functions": "Metrics as functions",
    "judging": "Metrics as functions",
    "heatmaps": "Metrics of heatmaps",
    "fills": "Metrics of fills",
    "stability": "Metrics of methods",
    "comparisons": "Metrics of methods",
    "image_sets": "Metrics of methods",
}
# Their members are for users; those of methods and fills are for the engine.
WITH_MEMBERS = ("Explanation", "Study", "Box")


class Name(NamedTuple):
    """A public name, the module that offers it, and the heading of its list."""

    module: str
    name: str
    heading: str

    @property
    def full(self) -> str:
        """The name with its module."""
        return f"{self.module}.{self.name}"


def list_names() -> list[Name]:
    """Return every public name."""
    plain = _read("onnxplain", PACKAGE / "__init__.pyi", HEADINGS, "Values and errors")
    metrics = PACKAGE / "metrics" / "__init__.pyi"
    return plain + _read("onnxplain.metrics", metrics, METRIC_HEADINGS, "Values of metrics")


def _read(module: str, path: Path, headings: dict[str, str], others: str) -> list[Name]:
    exports = EXPORT.findall(path.read_text())
    names = [
        Name(module, name, headings.get(home.split(".")[0], others))
        for home, name in exports
        if not name.startswith("__")
    ]
    order = [*dict.fromkeys(headings.values()), others]
    return sorted(names, key=lambda name: (order.index(name.heading), name.name.lower()))


def write_api(folder: Path) -> str:
    """Write a page per name; return the lists, which lead to them."""
    names = list_names()
    for name in names:
        write_if_new(folder / f"{name.full}.rst", _format_page(name))
    wanted = {f"{name.full}.rst" for name in names}
    for left in folder.glob("*.rst"):
        if left.name not in wanted:
            left.unlink()
    lines = []
    for heading in dict.fromkeys(name.heading for name in names):
        lines += [f"## {heading}", "", "| | |", "|---|---|"]
        members = [name for name in names if name.heading == heading]
        lines += [
            f"| [`{name.full.removeprefix('onnxplain.')}`](api/{name.full}.rst) "
            f"| {_summarise(name)} |"
            for name in members
        ]
        lines.append("")
    return "\n".join(lines)


def _get(name: Name) -> Any:
    return getattr(onnxplain.metrics if name.module.endswith("metrics") else onnxplain, name.name)


def _summarise(name: Name) -> str:
    value = _get(name)
    documented = inspect.isclass(value) or inspect.isroutine(value)
    text = (inspect.getdoc(value) or "").split("\n\n")[0] if documented else "A constant."
    return escape(re.sub(r"\s*\[\d+\]_|`", "", " ".join(text.split())))


def _format_page(name: Name) -> str:
    value = _get(name)
    kind = "autoclass" if inspect.isclass(value) else "autofunction"
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        kind = "autodata"
    lines = [":orphan:", "", name.name, "=" * len(name.name), ""]  # too many for the menu
    lines += [f".. currentmodule:: {name.module}", ""]
    lines.append(f".. {kind}:: {name.name}")
    if name.name in WITH_MEMBERS:
        lines.append("   :members:")
    if kind == "autodata":
        lines.append("   :no-value:")
    entries = {**registry.get_methods(), **registry.get_fills()}
    for entry, cls in entries.items():
        if cls is value:
            kind = "fill" if entry in registry.get_fills() else "method"
            label = f"{kind}-{entry.replace('+', 'plus')}"
            lines += ["", f"Paper, cost and options of the command line: :ref:`{label}`."]
    return "\n".join([*lines, ""])


def check_names(app: Sphinx, env: Any) -> None:
    """Warn of public names that the site does not describe."""
    described = set(env.domains["py"].objects) if hasattr(env.domains, "__getitem__") else set()
    for name in list_names():
        if name.full not in described:
            log.warning("%s is public and has no page in the reference", name.full)
