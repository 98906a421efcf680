"""Pages that the program itself tells: commands, methods, fills, metrics, and every public name.

Each is written as Markdown or reStructuredText into ``docs/_generated`` or ``docs/reference/api``
before Sphinx reads the pages, which include them. So nothing here can differ from the program.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from api_pages import check_names, write_api
from command_pages import format_commands
from entry_pages import format_costs, format_entries, format_pictures
from files import write_if_new
from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
GENERATED = DOCS / "_generated"


def write_pages(app: Sphinx, config: Any) -> None:
    """Write all that is made from the program."""
    pages = {
        "commands": format_commands(),
        "entries": format_entries(),
        "costs": format_costs(),
        "pictures": format_pictures(),
        "names": write_api(DOCS / "reference" / "api"),
    }
    for name, text in pages.items():
        write_if_new(GENERATED / f"{name}.md", text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("config-inited", write_pages)
    app.connect("env-check-consistency", check_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
