"""Coarse to fine: look at some positions of a grid, then at those where the map is interesting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Nodes = tuple[NDArray[np.int64], NDArray[np.int64]]  # rows and columns of a first look


def place_nodes(n: int, step: int) -> NDArray[np.int64]:
    """Return every `step`-th of `n` positions, and the last one, so that none lies outside."""
    return np.unique(np.append(np.arange(0, n, step), n - 1))


def interpolate(
    values: NDArray[np.float64], nodes: Nodes, grid: tuple[int, int]
) -> NDArray[np.float64]:
    """Interpolate values at nodes linearly along rows and columns to all positions of a grid."""
    down, across = (
        np.stack([np.interp(np.arange(n), places, row) for row in np.eye(len(places))], axis=1)
        for n, places in zip(grid, nodes, strict=True)
    )
    full: NDArray[np.float64] = down @ values @ across.T
    return full


def rank_interest(
    values: NDArray[np.float64], nodes: Nodes, grid: tuple[int, int]
) -> NDArray[np.float64]:
    """Rate each position by the size of the map or of its slope, each as a share of its largest.

    Parameters
    ----------
    values : (n, m) ndarray of float64
        The map at the nodes.
    nodes : (n,) and (m,) ndarray of int
        Rows and columns of the nodes.
    grid : (rows, columns)
        Size of the result.
    """
    slopes = [
        np.gradient(values, axis=axis) if values.shape[axis] > 1 else np.zeros_like(values)
        for axis in (0, 1)
    ]
    sizes = np.abs(values), np.hypot(*slopes)
    return np.maximum(*(interpolate(size / (size.max() or 1), nodes, grid) for size in sizes))


def choose_best(
    interest: NDArray[np.float64], seen: NDArray[np.bool_], n: int
) -> NDArray[np.bool_]:
    """Mark the `n` positions of most interest that were not seen."""
    order = np.argsort(np.where(seen, np.inf, -interest), axis=None, kind="stable")
    chosen = np.zeros(seen.shape, bool)
    chosen.flat[order[:n]] = True
    return chosen


def draw_seen(seen: NDArray[np.bool_]) -> list[str]:
    """Draw which positions were looked at: a text per row, ``#`` for seen and ``.`` for not."""
    return ["".join("#" if one else "." for one in row) for row in seen]
