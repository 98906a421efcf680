"""Write ``llms.txt``: what each page is about, with links to its source, for language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

KEPT = 200  # characters of what a page says first


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Write the index into the site."""
    if error or app.builder.format != "html":
        return
    lines = ["# onnxplain", "", f"> {_begin(app, 'index')}", ""]
    names = sorted(name for name in app.env.found_docs if name != "index")
    for chapter in dict.fromkeys(name.rpartition("/")[0] for name in names):
        lines += [f"## {chapter or 'topics'}", ""]
        for name in names:
            if name.rpartition("/")[0] == chapter:
                title = app.env.titles[name].astext()
                source = f"_sources/{name}{Path(app.env.doc2path(name)).suffix}.txt"
                lines.append(f"- [{title}]({source}): {_begin(app, name)}")
        lines.append("")
    (Path(app.outdir) / "llms.txt").write_text("\n".join(lines))


def _begin(app: Sphinx, name: str) -> str:
    """Return how the first paragraph of a page begins."""
    paragraphs = app.env.get_doctree(name).findall(nodes.paragraph)
    first = next((found for found in paragraphs if isinstance(found.parent, nodes.section)), None)
    text = " ".join(first.astext().split()) if first else ""
    return text if len(text) <= KEPT else f"{text[:KEPT].rsplit(' ', 1)[0]} ..."


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", write_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
