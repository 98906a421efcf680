"""Models given by a path, a folder, their content or a name in the zoo: opened, or their graphs."""

from __future__ import annotations

from onnxplain.loading.altered import load_randomised, load_shifted
from onnxplain.loading.finding import (
    DEFAULT_INPAINTER,
    DEFAULT_MODEL,
    ModelSource,
    find_model,
    is_inpainter,
    read_classifier_file,
    score_photo,
)
from onnxplain.loading.graphs import ListedLayer, export_explainer, gradient_graph, list_layers
from onnxplain.loading.opening import describe, load, load_features, load_inpainter

__all__ = [
    "DEFAULT_INPAINTER",
    "DEFAULT_MODEL",
    "ListedLayer",
    "ModelSource",
    "describe",
    "export_explainer",
    "find_model",
    "gradient_graph",
    "is_inpainter",
    "list_layers",
    "load",
    "load_features",
    "load_inpainter",
    "load_randomised",
    "load_shifted",
    "read_classifier_file",
    "score_photo",
]
