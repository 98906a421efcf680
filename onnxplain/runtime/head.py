"""From the output of a graph to scores (N, K)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Scores
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec


def decode_scores(raw: NDArray[Any], n: int, spec: ModelSpec) -> Scores:
    """Decode the scores of n images.

    Axes of size 1 are dropped, integers dequantised and percentages divided by 100. A single
    probability becomes two, and a single logit becomes two logits, of which the first is 0.

    Raises
    ------
    ModelError
        If the output does not hold one number per class for each image.
    """
    classes = len(spec.class_names)
    scores = decode_output(raw, n, spec)
    if scores.shape[1] == classes:
        return scores
    first = 1 - scores if spec.head == "probability" else np.zeros_like(scores)
    return np.hstack([first, scores])


def decode_output(raw: NDArray[Any], n: int, spec: ModelSpec) -> Scores:
    """Decode the numbers that a graph returns for n images, one or one per class for each.

    Raises
    ------
    ModelError
        As `decode_scores`.
    """
    classes = len(spec.class_names)
    is_single = spec.head in ("probability", "logit") or (spec.head == "sigmoid" and raw.size == n)
    width = 1 if is_single else classes
    if raw.size != n * width:
        raise ModelError(
            f"output {spec.output!r} has shape {raw.shape} for {n} image(s), but {width} "
            f"number(s) per image were expected for {classes} classes; choose another "
            f"output, or give the right class names (see onnxplain inspect)"
        )
    flat = raw.reshape(n, width)
    if spec.output_scale != (1.0, 0.0):
        scale, zero = spec.output_scale
        flat = (flat.astype(np.float32) - zero) * scale
    return flat.astype(np.float32)
