"""Writing files that a build makes, so that Sphinx reads again only what has changed."""

from __future__ import annotations

from pathlib import Path


def write_if_new(path: Path, text: str | bytes) -> None:
    """Write a file unless it holds the text already."""
    content = text.encode() if isinstance(text, str) else text
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
