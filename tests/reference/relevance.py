"""Relevance propagation, as its papers define it: one matrix of contributions per layer, slowly.

A convolution is made a matrix by putting in one pixel after the other. Relevance itself is handed
down, R_i = sum_j C_ij / (sum_i C_ij + extra_j) R_j, never relevance per unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Numbers:
    epsilon: float = 1e-6
    gamma: float = 0.25
    alpha: float = 2.0
    beta: float = 1.0
    zero_bias: bool = False


@dataclass(frozen=True, eq=False)
class Linear:
    """A layer of weights: a matrix (out, in), its bias, and which of its entries exist."""

    matrix: Array
    bias: Array
    exists: NDArray[np.bool_]
    kind: str = "dense"


@dataclass(frozen=True, eq=False)
class Step:
    """One layer of a chain: of weights, a rectifier, or a pooling of places given by lists."""

    kind: str
    linear: Linear | None = None
    windows: list[list[int]] = field(default_factory=list)


def unroll(
    weights: Array, bias: Array, shape: tuple[int, int, int], pad: int, stride: int
) -> tuple[Linear, tuple[int, int, int]]:
    """Make the matrix of a convolution (D, C, k, k) of an image (C, H, W), and its output shape."""
    channels, rows, columns = shape
    made, _, side, _ = weights.shape
    tall = (rows + 2 * pad - side) // stride + 1
    wide = (columns + 2 * pad - side) // stride + 1
    matrix = np.zeros((made, tall, wide, channels, rows, columns))
    exists = np.zeros(matrix.shape, bool)
    for d, i, j, c, u, v in np.ndindex(made, tall, wide, channels, side, side):
        row, column = i * stride + u - pad, j * stride + v - pad
        if 0 <= row < rows and 0 <= column < columns:
            matrix[d, i, j, c, row, column] = weights[d, c, u, v]
            exists[d, i, j, c, row, column] = True
    size = made * tall * wide
    biases = np.repeat(bias, tall * wide)
    flat = matrix.reshape(size, -1), biases, exists.reshape(size, -1)
    return Linear(*flat, kind="conv"), (made, tall, wide)


def list_windows(shape: tuple[int, int, int], side: int) -> list[list[int]]:
    """List the flat places that each window of a pooling without overlap holds."""
    channels, rows, columns = shape
    places = np.arange(channels * rows * columns).reshape(shape)
    return [
        list(places[c, i * side : (i + 1) * side, j * side : (j + 1) * side].ravel())
        for c, i, j in np.ndindex(channels, rows // side, columns // side)
    ]


def run(steps: list[Step], x: Array) -> list[Array]:
    """Return the values before each step and after the last."""
    values = [x]
    for step in steps:
        a = values[-1]
        if step.linear is not None:
            a = step.linear.matrix @ a + step.linear.bias
        elif step.kind == "relu":
            a = np.maximum(a, 0)
        else:
            pool = np.max if step.kind == "max" else np.mean
            a = np.array([pool(a[window]) for window in step.windows])
        values.append(a)
    return values


def hand_down(
    steps: list[Step],
    x: Array,
    start: Array,
    rules: dict[str, str],
    bounds: tuple[Array, Array],
    numbers: Numbers = Numbers(),
    down_to: int = 0,
) -> Array:
    """Return the relevance before the step `down_to`, from that of the scores.

    Parameters
    ----------
    rules : dict
        By ``conv`` and ``dense``; ``first`` and ``last`` replace them there.
    """
    values = run(steps, x)
    weighted = [place for place, step in enumerate(steps) if step.linear is not None]
    relevance = start
    for place in reversed(range(down_to, len(steps))):
        step, a = steps[place], values[place]
        if step.linear is not None:
            rule = rules[step.linear.kind]
            if place == weighted[-1]:
                rule = rules.get("last", rule)
            if place == weighted[0]:
                rule = rules.get("first", rule)
            relevance = _share(step.linear, a, relevance, rule, bounds, numbers)
        elif step.kind != "relu":
            below = np.zeros_like(a)
            for window, r in zip(step.windows, relevance, strict=True):
                if step.kind == "max":
                    below[window[int(np.argmax(a[window]))]] += r
                elif a[window].sum():
                    below[window] += a[window] / a[window].sum() * r
            relevance = below
    return relevance


def _share(
    linear: Linear, a: Array, r: Array, rule: str, bounds: tuple[Array, Array], n: Numbers
) -> Array:
    w, bias = linear.matrix, linear.bias * (0 if n.zero_bias else 1)
    single, y = w * a, w @ a + linear.bias
    up, down = np.maximum(single, 0), np.minimum(single, 0)
    # (factor, contributions, what else the denominator holds, epsilon)
    parts: list[tuple[Any, Array, Any, float]]
    if rule == "epsilon":
        parts = [(1, single, bias, n.epsilon)]
    elif rule == "zplus":
        parts = [(1, up, np.maximum(bias, 0), 1e-6)]
    elif rule == "alpha-beta":
        parts = [
            (n.alpha, up, np.maximum(bias, 0), 1e-6), (-n.beta, down, np.minimum(bias, 0), 1e-6),
        ]  # fmt: skip
    elif rule == "gamma":
        parts = [
            (y > 0, single + n.gamma * up, bias + n.gamma * np.maximum(bias, 0), 1e-6),
            (y < 0, single + n.gamma * down, bias + n.gamma * np.minimum(bias, 0), 1e-6),
        ]
    elif rule == "flat":
        parts = [(1, linear.exists.astype(float), 0, 0)]
    elif rule == "wsquare":
        parts = [(1, w**2, 0, 0)]
    elif rule == "zbox":
        low, high = bounds
        parts = [(1, single - np.maximum(w, 0) * low - np.minimum(w, 0) * high, 0, 1e-6)]
    elif rule == "excitation":
        parts = [(1, np.maximum(w, 0) * np.maximum(a, 0), 0, 0)]
    else:
        assert rule == "contrastive"
        parts = [(sign, np.maximum(sign * w, 0) * np.maximum(a, 0), 0, 0) for sign in (1, -1)]
    below = np.zeros_like(a)
    for factor, contributions, extra, epsilon in parts:
        z = contributions.sum(axis=1) + extra
        z = z + np.where(z >= 0, epsilon, -epsilon)
        shares = np.divide(factor * r, z, out=np.zeros_like(z), where=z != 0)
        below += contributions.T @ shares
    return below
