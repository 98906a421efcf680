"""Explanations as values, and as files that are written whole or not at all."""

from __future__ import annotations

from onnxplain.results.doubt import describe_doubt, name_doubt
from onnxplain.results.explanation import Explanation
from onnxplain.results.placing import check_folder, open_folder
from onnxplain.results.reading import find_npz, load_explanation
from onnxplain.results.saving import SavedFiles

__all__ = [
    "Explanation",
    "SavedFiles",
    "check_folder",
    "describe_doubt",
    "find_npz",
    "load_explanation",
    "name_doubt",
    "open_folder",
]
