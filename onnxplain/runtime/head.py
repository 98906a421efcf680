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


def get_width(spec: ModelSpec) -> int:
    """Return how many numbers per image a model returns: one, or one per class."""
    return 1 if spec.head in ("probability", "logit") else len(spec.class_names)


def encode_slopes(slopes: NDArray[np.float64], spec: ModelSpec) -> NDArray[np.float32]:
    """Turn slopes by the decoded scores (N, K) into slopes by the model's answers (N, width).

    The adjoint of `decode_scores`.
    """
    if get_width(spec) == 1:
        slopes = slopes[:, 1:] - (slopes[:, :1] if spec.head == "probability" else 0)
    return (slopes * spec.output_scale[0]).astype(np.float32)


def decode_output(raw: NDArray[Any], n: int, spec: ModelSpec) -> Scores:
    """Decode the numbers that a graph returns for n images, one or one per class for each.

    Raises
    ------
    ModelError
        As `decode_scores`.
    """
    classes = len(spec.class_names)
    width = 1 if spec.head == "sigmoid" and raw.size == n else get_width(spec)
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
