"""What maps are made of: values A and gradients G of a layer, (N, C, h, w), to maps (N, h, w).

The maps are signed. The engine calls these functions on each batch as soon as it has run. Those
that are a `Formula` are written into exported explainers, too.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Heatmap, Size
from onnxplain.core.formulas import ARRAYS, CHANNELS, PLACES, Formula, Ops, Values
from onnxplain.core.inside import Array
from onnxplain.image import resize

Maps: TypeAlias = NDArray[np.float32]  # (N, h, w)
Wide: TypeAlias = NDArray[np.float64]

PLUS_EPS, XGRAD_EPS = 1e-6, 1e-7  # of the published programs


@Formula
def grad_cam(ops: Ops, a: Values, g: Values) -> Values:
    """Weigh channels by their mean gradient: ``sum_c mean_u(G_c) A_c``."""
    return ops.sum(ops.mean(g, PLACES) * a, CHANNELS)


@Formula
def hires_cam(ops: Ops, a: Values, g: Values) -> Values:
    """Multiply each value by its own gradient: ``sum_c G_c A_c``."""
    return ops.sum(a * g, CHANNELS)


@Formula
def weigh_by_positive(ops: Ops, a: Values, g: Values) -> Values:
    """Weigh channels by ``sum_u alpha G+``, where alpha is a quotient of powers of G.

    ``alpha = G^2 / (2 G^2 + sum_u(A) G^3)``.
    """
    alpha = g * g / stabilise(_divide_plus_plus_by(ops, a, g), PLUS_EPS, ops)
    return ops.sum(ops.sum(alpha * ops.relu(g), PLACES) * a, CHANNELS)


def grad_cam_plus_plus(values: Array, grads: Array | None) -> NDArray[np.float32]:
    """Return the map of `weigh_by_positive`, and where its weights are not defined.

    Returns
    -------
    maps : (N, 2, h, w) ndarray of float32
        The map, and the number of channels at each position whose denominator is not positive.
    """
    a, g = _widen(values, grads)
    below = _divide_plus_plus_by(ARRAYS, a, g)
    crossed = ((g > 0) & (below <= 0)).sum(axis=1)
    return np.stack([weigh_by_positive(values, grads), _narrow(crossed)], axis=1)


@Formula
def xgrad_cam(ops: Ops, a: Values, g: Values) -> Values:
    """Weigh channels by their gradient where they are active: ``sum_u(G A) / sum_u(A)``."""
    total = stabilise(ops.sum(a, PLACES), XGRAD_EPS, ops)
    return ops.sum(ops.sum(g * a, PLACES) / total * a, CHANNELS)


@Formula
def layer_cam(ops: Ops, a: Values, g: Values) -> Values:
    """Multiply each value by its own gradient where that is positive: ``sum_c G_c+ A_c``."""
    return ops.sum(ops.relu(g) * a, CHANNELS)


@Formula
def grad_cam_elementwise(ops: Ops, a: Values, g: Values) -> Values:
    """Sum the positive products of values and gradients: ``sum_c (G_c A_c)+``."""
    return ops.sum(ops.relu(a * g), CHANNELS)


def eigen_cam(values: Array, grads: Array | None = None) -> Maps:
    """Project the values at each position, less their mean, on their first principal direction.

    The value of largest magnitude is positive. A layer that is the same everywhere gives zeros.
    """
    rows = values.reshape(*values.shape[:2], -1).transpose(0, 2, 1).astype(np.float64)
    rows = rows - rows.mean(axis=1, keepdims=True)
    turned = rows.transpose(0, 2, 1)
    if rows.shape[1] <= rows.shape[2]:  # the smaller of two square matrices has its eigenvectors
        sizes, vectors = np.linalg.eigh(rows @ turned)
        projected = vectors[:, :, -1] * np.sqrt(np.maximum(sizes[:, -1:], 0))
    else:
        _, vectors = np.linalg.eigh(turned @ rows)
        projected = (rows @ vectors[:, :, -1:])[:, :, 0]
    flips = projected.max(axis=1) < -projected.min(axis=1)
    upright = np.where(flips[:, None], -projected, projected)
    return _narrow(upright.reshape(len(values), *values.shape[2:]))


def stabilise(divisor: Values, eps: float, ops: Ops = ARRAYS) -> Values:
    """Move a divisor away from 0 by `eps`, without changing its sign; 0 counts as positive."""
    return divisor + ops.if_negative(divisor, -eps, eps)


def enlarge(coarse: NDArray[np.floating[Any]], size: Size) -> Heatmap:
    """Enlarge a map (h, w) to an image, bilinearly, with the centres of cells at half-integers."""
    return resize(np.ascontiguousarray(coarse, np.float32), size)


def _widen(values: Array, grads: Array | None) -> tuple[Wide, Wide]:
    assert grads is not None
    return values.astype(np.float64), grads.astype(np.float64)


def _divide_plus_plus_by(ops: Ops, a: Values, g: Values) -> Values:
    square = g * g
    return 2 * square + ops.sum(a, PLACES) * square * g


def _narrow(maps: NDArray[Any]) -> Maps:
    return maps.astype(np.float32)
