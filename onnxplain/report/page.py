"""The page: one HTML file that shows a material, without network, and nothing foreign runs in it.

What is hung into the page by others is a `LiveSection`: its HTML stands behind the viewer, its
script runs after the page's own, and its sources are added to the policy of what may be loaded.
The page's script offers it ``window.onnxplain``::

    onnxplain.data                    the JSON of `Content.describe`: photos, cases, maps, walks
    onnxplain.state                   what is selected: {case, map, other}, positions in the data
    onnxplain.loadPhoto(photo)        Promise of the image element of a photo, or of null
    onnxplain.loadLevels(map)         Promise of {width, height, levels} of a map, 0 to 255
    document "onnxplain:select"       an event after each change of the selection
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnxplain.core.errors import LibraryMissing
from onnxplain.core.escaping import escape
from onnxplain.report.content import Content
from onnxplain.report.material import Material
from onnxplain.report.study_tables import arrange_study, format_cell
from onnxplain.version import __version__

FOLDER = Path(__file__).parent / "template"
SCRIPTS = ("pictures.js", "viewer.js", "walks.js", "page.js")
POLICY: Mapping[str, tuple[str, ...]] = {
    "default-src": ("'none'",),
    "img-src": ("data:", "blob:"),
    "base-uri": ("'none'",),
    "form-action": ("'none'",),
}


@dataclass(frozen=True)
class LiveSection:
    """A part of the page that somebody else makes.

    Parameters
    ----------
    html : str
        A ``section``, which is put into the page as it is: its maker has escaped it.
    script : str
        Runs after the page's own script.
    sources : mapping
        What the Content-Security-Policy allows besides: a directive and its sources, such as
        ``{"script-src": ("blob:", "'wasm-unsafe-eval'")}``.
    style : str
        Rules that are added to those of the page.
    """

    html: str
    script: str
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    style: str = ""


def build_page(material: Material, live: LiveSection | None = None, *, title: str = "") -> str:
    """Build the HTML of a report.

    Parameters
    ----------
    material : Material
        What is shown.
    live : LiveSection, optional
        A part that runs the model.
    title : str
        Of the page; made from its content if not given.

    Returns
    -------
    html : str
        A whole document that loads nothing.

    Raises
    ------
    LibraryMissing
        If Jinja is not installed.
    """
    try:
        import jinja2
        import markupsafe
    except ImportError as error:
        raise LibraryMissing(
            f"a report needs Jinja ({error}); pip install 'onnxplain[report]'"
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        finalize=_clean,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (FOLDER / "page.css").read_text("utf-8") + (live.style if live else "")
    script = "\n".join((FOLDER / name).read_text("utf-8") for name in SCRIPTS)
    scripts = [f'(() => {{\n"use strict";\n{script}}})();']
    scripts += [live.script] if live else []
    content = Content(material)
    page: str = environment.get_template("page.html").render(
        version=__version__,
        title=title or content.name_page(),
        policy=_write_policy(style, scripts, live),
        style=markupsafe.Markup(style),
        scripts=[markupsafe.Markup(script) for script in scripts],
        live=markupsafe.Markup(live.html if live else ""),
        data=_clean_all(content.describe()),
        content=content,
        material=material,
        format_cell=format_cell,
        studies=[arrange_study(study, content.methods) for study in material.studies],
    )
    return page


def _write_policy(style: str, scripts: list[str], live: LiveSection | None) -> str:
    """Write the Content-Security-Policy: of scripts and styles, only these very texts are run."""
    rules = {name: list(sources) for name, sources in POLICY.items()}
    rules["script-src"] = [_hash(script) for script in scripts]
    rules["style-src"] = [_hash(style)]
    for name, sources in (live.sources if live else {}).items():
        rules.setdefault(name, []).extend(sources)
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _clean(value: Any) -> Any:
    """Write out the control characters of a text that is not markup."""
    return escape(value) if type(value) is str else value


def _clean_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {_clean(key): _clean_all(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_all(part) for part in value]
    return _clean(value)
