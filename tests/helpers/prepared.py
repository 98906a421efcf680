"""Photos as a model of some spec is given them, compared with those of another program."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.spec import ModelSpec
from onnxplain.image.frame import place_frame
from tests.helpers import models


def prepare(spec: ModelSpec, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what a model of this spec is given, (channels, rows, columns)."""
    image = photo.astype(np.float32) / np.float32(255)
    frame = place_frame(image.shape[:2], spec.size, spec.preprocessing)
    keys = ("layout", "colour", "dtype", "range", "mean", "std")
    convention = {key: getattr(spec, key) for key in keys}
    return models.encode(frame.bring(image)[None], **convention)[0]


def measure_levels(spec: ModelSpec, ours: Any, theirs: Any) -> float:
    """Return the largest difference in grey levels, which are 255 in the range."""
    level = (spec.range[1] - spec.range[0]) / 255
    difference = np.abs(ours - np.asarray(theirs)) * np.reshape(spec.std, (-1, 1, 1))
    return float(difference.max() / level)
