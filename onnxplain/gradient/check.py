"""A test of gradients against differences of scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Maps images (N, ...) to their scores (N,) and gradients (N, ...).
Differentiated: TypeAlias = Callable[
    [NDArray[np.float32]], tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]
]
STEPS = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6)
TOLERANCE = 0.1  # kinks of clipped activations change a right slope by up to 5 %
# The error along noise is relative to this many lengths of the gradient: noise crosses more
# kinks of a real network than the gradient does, and the slope along it is smaller. Where a
# tenth or more of a gradient is missing, the error still exceeds the tolerance.
ALLOWANCE = 2.5
ROUNDING = 8 * float(np.finfo(np.float32).eps)  # of a score, relative to it


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """Slopes along several directions, by a gradient and by differences of scores.

    Parameters
    ----------
    analytic : (D,) ndarray
        Slopes by the gradient.
    numeric : (D,) ndarray
        Slopes by differences of scores, at the step sizes that agree best with one another.
    scale : (D,) ndarray
        What an error is relative to: the slope, or for noise 2.5 lengths of the gradient.
    """

    analytic: NDArray[np.float64]
    numeric: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Largest difference of the slopes, relative to the scale or, if larger, the slope."""
        scale = np.maximum(self.scale, np.abs(self.numeric))
        scale[scale == 0] = 1
        return float(np.max(np.abs(self.numeric - self.analytic) / scale))

    @property
    def passed(self) -> bool:
        """Whether the slopes agree within 10 %."""
        return self.error <= TOLERANCE


def check_gradient(
    function: Differentiated,
    image: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    directions: int = 4,
) -> GradientCheck:
    """Compare slopes by a gradient with central differences of the scores.

    Half of the directions are the gradient with a random half of its entries set to 0. Along
    them the score changes much more than its rounding does, but they do not test where the
    gradient is 0. The others are noise, which tests every entry. The slope along noise is the
    gradient's length times a normal number, which may be small by chance, so its error is
    compared with two and a half times that length. Curvature and kinks spoil differences
    of large steps, rounding those of small ones. Of nine step sizes, the three neighbours
    whose slopes agree best are taken, whatever the gradient says; only two may agree by chance.

    Parameters
    ----------
    function : callable
        Maps images to scores and gradients.
    image : ndarray of float32
        Where to compare, without a batch axis.
    rng : Generator
        Draws the directions.
    directions : int
        Number of directions of each kind.

    Returns
    -------
    check : GradientCheck

    Examples
    --------
    >>> def cubes(x):
    ...     return (x**3).sum(axis=1), 3 * x**2
    >>> check_gradient(cubes, np.ones(5, np.float32), np.random.default_rng(0)).passed
    True
    """
    _, (gradient,) = function(image[None])
    span = float(np.ptp(image)) or 1.0
    gradient = gradient.astype(np.float64)
    shape, length = gradient.shape, float(np.linalg.norm(gradient))
    masked = [gradient * (rng.random(shape) < 0.5) for _ in range(directions)]
    noise = [rng.normal(size=shape) for _ in range(directions)]
    vectors = [v / (float(np.sqrt(np.mean(v**2))) or 1.0) for v in masked + noise]
    analytic = np.array([np.sum(gradient * v) for v in vectors])
    numeric = np.array([_measure_slope(function, image, span, v) for v in vectors])
    scale = np.concatenate([np.abs(analytic[:directions]), np.full(directions, ALLOWANCE * length)])
    return GradientCheck(analytic, numeric, scale)


def _measure_slope(
    function: Differentiated, image: NDArray[np.float32], span: float, v: NDArray[np.float64]
) -> float:
    """Return the slope along `v`; 0 where the score changes no more than its rounding does."""
    slopes = []
    for step in STEPS:
        change = (span * step * v).astype(np.float32)
        above, below = function(np.stack([image + change, image - change]))[0].astype(np.float64)
        if abs(above - below) > ROUNDING * max(abs(above), abs(below)):
            slopes.append(float((above - below) / (2 * span * step)))
    neighbours = list(zip(slopes, slopes[1:], slopes[2:], strict=False))
    return min(neighbours, key=_measure_spread)[1] if neighbours else 0.0


def _measure_spread(slopes: tuple[float, ...]) -> float:
    return (max(slopes) - min(slopes)) / (abs(slopes[1]) or 1.0)
