"""How the site is built: ``python -m sphinx -W -b html docs docs/_build/html``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import onnxplain  # noqa: E402

# Sphinx prints what other packages log, too; of onnxplain only warnings are of interest.
logging.getLogger("onnxplain").setLevel(logging.WARNING)

project = "onnxplain"
author = "The onnxplain maintainers"
copyright = author
version = release = onnxplain.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.extlinks",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "from_repository",  # pages that live elsewhere in the repository
    "citations",  # papers that a module lists and its classes cite
    "from_program",  # pages that are made from the program
    "for_machines",  # llms.txt
]
exclude_patterns = ["_build", "_generated", "gallery/*.rst", "**/*.txt"]
templates_path: list[str] = []
default_role = "py:obj"

html_theme = "furo"
html_title = "onnxplain"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = True  # llms.txt links to the sources
html_theme_options: dict[str, Any] = {"navigation_with_keys": True}

autodoc_typehints = "none"  # the docstrings tell types, shapes and ranges
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 80
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["examples"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ["saved_pictures"],
    "reset_modules": (),
    "abort_on_example_error": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "min_reported_time": 1,
    "write_computation_times": False,
}

extlinks = {
    "arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s"),
    "doi": ("https://doi.org/%s", "doi:%s"),
    "jstor": ("https://www.jstor.org/stable/%s", "JSTOR %s"),
}
