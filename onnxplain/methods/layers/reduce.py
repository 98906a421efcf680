"""What maps are made of: values A and gradients G of a layer, (N, C, h, w), to maps (N, h, w).

The maps are signed. The engine calls these functions on each batch as soon as it has run.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Heatmap, Size
from onnxplain.core.inside import Array
from onnxplain.image import resize

Maps: TypeAlias = NDArray[np.float32]  # (N, h, w)
Wide: TypeAlias = NDArray[np.float64]

PLUS_EPS, XGRAD_EPS = 1e-6, 1e-7  # of the published programs


def grad_cam(values: Array, grads: Array | None) -> Maps:
    """Weigh channels by their mean gradient: ``sum_c mean_u(G_c) A_c``."""
    a, g = _widen(values, grads)
    return _weigh(g.mean(axis=(2, 3)), a)


def hires_cam(values: Array, grads: Array | None) -> Maps:
    """Multiply each value by its own gradient: ``sum_c G_c A_c``."""
    a, g = _widen(values, grads)
    return _narrow((a * g).sum(axis=1))


def grad_cam_plus_plus(values: Array, grads: Array | None) -> NDArray[np.float32]:
    """Weigh channels by ``sum_u alpha G``, where alpha is a quotient of powers of G.

    ``alpha = G^2 / (2 G^2 + sum_u(A) G^3)`` where G is positive, else 0.

    Returns
    -------
    maps : (N, 2, h, w) ndarray of float32
        The map, and the number of channels at each position whose denominator is not positive.
    """
    a, g = _widen(values, grads)
    square = g**2
    below = 2 * square + a.sum(axis=(2, 3), keepdims=True) * square * g
    alpha = np.where(g > 0, square / stabilise(below, PLUS_EPS), 0.0)
    weights = (alpha * np.maximum(g, 0)).sum(axis=(2, 3))
    crossed = ((g > 0) & (below <= 0)).sum(axis=1)
    return np.stack([_weigh(weights, a), crossed.astype(np.float32)], axis=1)


def xgrad_cam(values: Array, grads: Array | None) -> Maps:
    """Weigh channels by their gradient where they are active: ``sum_u(G A) / sum_u(A)``."""
    a, g = _widen(values, grads)
    total = stabilise(a.sum(axis=(2, 3)), XGRAD_EPS)
    return _weigh((g * a).sum(axis=(2, 3)) / total, a)


def layer_cam(values: Array, grads: Array | None) -> Maps:
    """Multiply each value by its own gradient where that is positive: ``sum_c G_c+ A_c``."""
    a, g = _widen(values, grads)
    return _narrow((np.maximum(g, 0) * a).sum(axis=1))


def grad_cam_elementwise(values: Array, grads: Array | None) -> Maps:
    """Sum the positive products of values and gradients: ``sum_c (G_c A_c)+``."""
    a, g = _widen(values, grads)
    return _narrow(np.maximum(a * g, 0).sum(axis=1))


def eigen_cam(values: Array, grads: Array | None = None) -> Maps:
    """Project the values at each position, less their mean, on their first principal direction.

    The value of largest magnitude is positive. A layer that is the same everywhere gives zeros.
    """
    rows = values.reshape(*values.shape[:2], -1).transpose(0, 2, 1).astype(np.float64)
    rows = rows - rows.mean(axis=1, keepdims=True)
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    projected = left[:, :, 0] * singular[:, :1]
    flips = projected.max(axis=1) < -projected.min(axis=1)
    turned = np.where(flips[:, None], -projected, projected)
    return _narrow(turned.reshape(len(values), *values.shape[2:]))


def stabilise(divisor: Wide, eps: float) -> Wide:
    """Move a divisor away from 0 by `eps`, without changing its sign; 0 counts as positive."""
    return divisor + np.where(divisor < 0, -eps, eps)


def enlarge(coarse: NDArray[np.floating[Any]], size: Size) -> Heatmap:
    """Enlarge a map (h, w) to an image, bilinearly, with the centres of cells at half-integers."""
    return resize(np.ascontiguousarray(coarse, np.float32), size)


def _widen(values: Array, grads: Array | None) -> tuple[Wide, Wide]:
    assert grads is not None
    return values.astype(np.float64), grads.astype(np.float64)


def _weigh(weights: Wide, values: Wide) -> Maps:
    return _narrow(np.einsum("nc,nchw->nhw", weights, values))


def _narrow(maps: Wide) -> Maps:
    return maps.astype(np.float32)
