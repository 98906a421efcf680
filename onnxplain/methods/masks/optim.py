"""Shared parts of methods that optimise a mask: Adam, total variation, checks of the grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Size

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Adam:
    """A state of the Adam optimiser [1]_ (alg. 1), with its usual constants.

    Parameters
    ----------
    step : int
        Steps taken so far.
    mean, square : ndarray or float
        Running means of the gradient and of its square.

    References
    ----------
    .. [1] Kingma & Ba, Adam: a method for stochastic optimization, ICLR 2015,
       :arXiv:`1412.6980`
    """

    step: int = 0
    mean: FloatArray | float = 0.0
    square: FloatArray | float = 0.0

    def update(self, grad: FloatArray, learning_rate: float) -> tuple[FloatArray, Adam]:
        """Return the change to add to the parameters, and the next state."""
        beta1, beta2, epsilon = 0.9, 0.999, 1e-8
        after = replace(
            self,
            step=self.step + 1,
            mean=beta1 * self.mean + (1 - beta1) * grad,
            square=beta2 * self.square + (1 - beta2) * grad**2,
        )
        mean = after.mean / (1 - beta1**after.step)
        square = after.square / (1 - beta2**after.step)
        return -learning_rate * mean / (np.sqrt(square) + epsilon), after


def total_variation(cells: FloatArray, power: float) -> tuple[float, FloatArray]:
    """Return ``sum |difference of neighbours| ** power`` over rows and columns, and its gradient.

    Parameters
    ----------
    cells : (g, h) ndarray of float64
        A mask.
    power : float
        At least 1; 3 in Fong & Vedaldi, ICCV 2017 (eq. 4).
    """
    total, grad = 0.0, np.zeros_like(cells)
    for axis in (0, 1):
        step = np.diff(cells, axis=axis)
        total += float((np.abs(step) ** power).sum())
        slope = power * np.abs(step) ** (power - 1) * np.sign(step)
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        grad[tuple(after)] += slope
        grad[tuple(before)] -= slope
    return total, grad


def check_grid(grid: int, size: Size, owner: str) -> None:
    """Check that a mask has no more cells per side than the image has pixels.

    Raises
    ------
    ValueError
        If it has more cells; the message names the method, `owner`.
    """
    if grid > min(size):
        raise ValueError(
            f"{owner}: grid must be at most {min(size)}, the image's shorter side, got {grid}"
        )


def sigmoid(x: FloatArray) -> FloatArray:
    """Return ``1 / (1 + exp(-x))``, computed without overflow."""
    result: FloatArray = 0.5 * (1 + np.tanh(0.5 * x))
    return result


def logit(p: FloatArray) -> FloatArray:
    """Return the log-odds ``log(p / (1 - p))`` of probabilities."""
    result: FloatArray = np.log(p) - np.log1p(-p)
    return result
