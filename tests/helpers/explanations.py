"""Explanations made by hand, for tests of what is drawn and written of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain.results import Explanation


def make_explanation(**changes: Any) -> Explanation:
    """Make an explanation of a small even photo by SP; any field may be another one."""
    photo = changes.pop("photo", np.full((40, 60, 3), 120, np.uint8))
    size = changes.pop("image_size", list(photo.shape[:2]) if photo is not None else [40, 60])
    fields: dict[str, Any] = {
        "image": "photos/coffee.jpg",
        "target": 967,
        "target_name": "espresso",
        "score": 0.9375,
        "heatmap": np.linspace(0.1, 0.7, 64, dtype=np.float32).reshape(8, 8),
        "method": "sp",
        "fill": "blur",
        "parameters": {"patch": 3},
        "fill_parameters": {"sigma": 2.0},
        "seed": 0,
        "evaluations": 10,
        "seconds": 0.5,
        "photo": photo,
        "provenance": {"classifier": {"model": "net.onnx", "sha256": "ab"}, "image_size": size},
    }
    return Explanation(**{**fields, **changes})
