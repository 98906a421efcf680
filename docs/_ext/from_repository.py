"""Show Markdown files of the repository as pages, and let links lead there.

Pages of `docs` link to files of the repository as a reader of the repository needs it:
``../../benchmarks/README.md``. Sphinx reads only what lies in its own folder, so the files that
start here, and all that they link to, are copied into ``docs/repository``, and links that leave
`docs` are led there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from files import write_if_new
from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
COPIES = DOCS / "repository"
STARTS = ("benchmarks/README.md", "model_zoo/README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)")


def copy_pages(app: Sphinx, config: Any) -> None:
    """Copy the pages, what the pages of `docs` link to, and what these link to."""
    waiting = [ROOT / start for start in STARTS]
    for folder in (DOCS, DOCS / "guide", DOCS / "howto"):
        for page in folder.glob("*.md"):
            waiting += _list_linked(page)
    copied: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in copied or not path.is_file():
            continue  # Sphinx tells of links that lead nowhere
        copied.add(path)
        if path.suffix == ".md":
            waiting += _list_linked(path)
        write_if_new(COPIES / path.relative_to(ROOT), path.read_bytes())


def _list_linked(page: Path) -> list[Path]:
    """Return the files outside `docs` to which a page links."""
    links = (link for _, link in LINK.findall(page.read_text()))
    targets = (Path(os.path.abspath(page.parent / link)) for link in links)
    return [target for target in targets if not target.is_relative_to(DOCS)]


def lead_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """Lead links out of `docs` into the copies, and links of the copies back into `docs`."""
    page = DOCS / docname
    source[0] = LINK.sub(lambda found: found[1] + _lead(page.parent, found[2]), source[0])


def _lead(folder: Path, link: str) -> str:
    target = Path(os.path.abspath(folder / link))
    if target.is_relative_to(COPIES / "docs"):
        target = DOCS / target.relative_to(COPIES / "docs")
    elif target.is_relative_to(ROOT) and not target.is_relative_to(DOCS):
        target = COPIES / target.relative_to(ROOT)
    else:
        return link
    return os.path.relpath(target, folder)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("config-inited", copy_pages)
    app.connect("source-read", lead_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
