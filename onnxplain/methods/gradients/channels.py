"""One number per pixel from one per colour."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Heatmap

Channels: TypeAlias = Literal["max-abs", "sum", "l2", "sum-abs"]
CHANNELS = "how the values of red, green and blue become one"


def join_channels(values: NDArray[np.floating[Any]], how: Channels) -> Heatmap:
    """Return one number per pixel of values (H, W, 3): the largest magnitude, a sum or a length."""
    wide = values.astype(np.float64)
    joined = {
        "max-abs": lambda: np.abs(wide).max(axis=2),
        "sum": lambda: wide.sum(axis=2),
        "l2": lambda: np.sqrt((wide**2).sum(axis=2)),
        "sum-abs": lambda: np.abs(wide).sum(axis=2),
    }[how]()
    heatmap: Heatmap = joined.astype(np.float32)
    return heatmap
