"""Whether a gradient is right, told by the scores alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Images (N, ...) to their scores (N,) and gradients (N, ...).
Differentiated: TypeAlias = Callable[
    [NDArray[np.float32]], tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]
]
STEPS = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6)
TOLERANCE = 0.05


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """Slopes along some directions.

    Parameters
    ----------
    analytic : (D,) ndarray
        By the gradient.
    numeric : (D,) ndarray
        By differences of scores, with the steps that agree best with each other.
    """

    analytic: NDArray[np.float64]
    numeric: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Largest difference, relative to the slope."""
        scale = np.maximum(np.abs(self.analytic), np.finfo(np.float64).tiny)
        return float(np.max(np.abs(self.numeric - self.analytic) / scale))

    @property
    def passed(self) -> bool:
        """Whether the slopes agree within 5 %."""
        return self.error <= TOLERANCE


def check_gradient(
    function: Differentiated,
    image: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    directions: int = 4,
) -> GradientCheck:
    """Compare slopes by a gradient with central differences of the scores.

    A direction is the gradient with a random half of its entries set to 0: along it the
    score changes much more than its rounding does. Curvature and kinks spoil differences of
    large steps, rounding those of small ones. Of nine sizes three neighbours are taken whose
    slopes agree best, whatever the gradient says; two may agree by chance.

    Parameters
    ----------
    function : callable
        Images to scores and gradients.
    image : ndarray of float32
        Where to compare, without a batch axis.
    rng : Generator
        Draws the directions.
    directions : int
        How many.

    Examples
    --------
    >>> def cubes(x):
    ...     return (x**3).sum(axis=1), 3 * x**2
    >>> check_gradient(cubes, np.ones(5, np.float32), np.random.default_rng(0)).passed
    True
    """
    _, (gradient,) = function(image[None])
    reach = float(np.ptp(image)) or 1.0
    analytic, numeric = np.empty(directions), np.empty(directions)
    for index in range(directions):
        masked = gradient.astype(np.float64) * (rng.random(gradient.shape) < 0.5)
        length = float(np.sqrt(np.mean(masked**2))) or 1.0
        v = masked / length
        analytic[index] = np.sum(gradient * v)
        slopes = [
            _slope(function, image, (reach * step * v).astype(np.float32), reach * step)
            for step in STEPS
        ]
        neighbours = zip(slopes, slopes[1:], slopes[2:], strict=False)
        numeric[index] = min(neighbours, key=_spread)[1]
    return GradientCheck(analytic, numeric)


def _spread(slopes: tuple[float, ...]) -> float:
    return (max(slopes) - min(slopes)) / (abs(slopes[1]) or 1.0)


def _slope(
    function: Differentiated, image: NDArray[np.float32], change: NDArray[np.float32], step: float
) -> float:
    above, below = function(np.stack([image + change, image - change]))[0].astype(np.float64)
    return float((above - below) / (2 * step))
