"""Show the pictures that an example saves, beside the code that saved them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst


def move_pictures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Move the pictures that a block of an example wrote into its folder to the page's pictures."""
    folder = Path(block_vars["src_file"]).parent
    moved = []
    for picture in sorted(folder.glob("*.png"), key=lambda path: path.stat().st_mtime_ns):
        target = next(block_vars["image_path_iterator"])
        shutil.move(picture, target)
        moved.append(target)
    return figure_rst(moved, gallery_conf["src_dir"])


def _get_sg_image_scraper() -> Any:
    """Return the function, as sphinx-gallery asks modules for it, and not functions themselves."""
    return move_pictures
