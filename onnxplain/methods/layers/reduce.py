"""What maps are made of: values A and gradients G of a layer, (N, C, h, w), to maps (N, h, w).

The maps are signed. The engine calls these functions on each batch as soon as it has run.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Heatmap, Size
from onnxplain.core.inside import Array
from onnxplain.image import resize

Maps: TypeAlias = NDArray[np.float32]  # (N, h, w)


def grad_cam(values: Array, grads: Array | None) -> Maps:
    """Weigh channels by their mean gradient: ``sum_c mean_u(G_c) A_c``."""
    assert grads is not None
    weights = grads.mean(axis=(2, 3), dtype=np.float64)
    maps: Maps = np.einsum("nc,nchw->nhw", weights, values).astype(np.float32)
    return maps


def enlarge(coarse: NDArray[np.floating], size: Size) -> Heatmap:
    """Enlarge a map (h, w) to an image, bilinearly, with the centres of cells at half-integers."""
    return resize(np.ascontiguousarray(coarse, np.float32), size)
