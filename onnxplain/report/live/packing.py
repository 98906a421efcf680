"""Files inside a page: compressed, as text in elements that the browser does not run."""

from __future__ import annotations

import base64
import gzip
import html
from pathlib import Path

FOLDER = Path(__file__).parent  # of the scripts and styles


def pack_file(name: str, content: bytes) -> str:
    """Return an element that holds a file; `unpack` of ``engine.js`` reads it.

    Parameters
    ----------
    name : str
        Id of the element.
    content : bytes
        The file.
    """
    text = base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()
    return f'<script type="text/plain" id="{html.escape(name)}">{text}</script>\n'
