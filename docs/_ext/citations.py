"""Bring the papers that a docstring cites from the docstring of its module, which lists them."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from sphinx.application import Sphinx

ENTRY = re.compile(r"^\.\. \[(\d+)\] .+(?:\n   .+)*", re.MULTILINE)
CITED = re.compile(r"\[(\d+)\]_")
HEADING = ["References", "----------"]


def add_references(
    app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Add the entries that are cited here and listed in the module; numpydoc reads them next."""
    text = "\n".join(lines)
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    listed = {found[1]: found[0] for found in ENTRY.finditer(inspect.getdoc(module) or "")}
    own = {found[1] for found in ENTRY.finditer(text)}
    missing = [mark for mark in dict.fromkeys(CITED.findall(text)) if mark not in own]
    entries = [line for mark in missing if mark in listed for line in listed[mark].split("\n")]
    if not entries:
        return
    if HEADING[0] in lines:
        after = lines.index(HEADING[0]) + 2
        lines[after:after] = entries
    else:
        lines += ["", *HEADING, *entries]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, ahead of numpydoc."""
    app.connect("autodoc-process-docstring", add_references, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
