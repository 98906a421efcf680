"""Formulas that make maps, written once for arrays and for the graphs of exported explainers.

A formula sees values and gradients of a layer or an image as (N, C, h, w). It combines them with
``+ - * /`` and with `Ops`, which computes with arrays or writes the nodes of a graph, and returns
one channel, (N, 1, h, w). Reductions keep their axes, with length 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

# An array, or what stands for a tensor of a graph: both know + - * / and each other's numbers.
Values: TypeAlias = Any
CHANNELS, PLACES = (1,), (2, 3)  # axes


class Ops(Protocol):
    """What formulas are made of, besides arithmetic."""

    def sum(self, x: Values, axes: Sequence[int]) -> Values:
        """Sum along axes, which are kept."""
        ...

    def mean(self, x: Values, axes: Sequence[int]) -> Values:
        """Average along axes, which are kept."""
        ...

    def largest(self, x: Values, axes: Sequence[int]) -> Values:
        """Return the largest value along axes, which are kept."""
        ...

    def relu(self, x: Values) -> Values:
        """Return what is positive, else 0."""
        ...

    def abs(self, x: Values) -> Values:
        """Return magnitudes."""
        ...

    def sqrt(self, x: Values) -> Values:
        """Return square roots."""
        ...

    def if_negative(self, x: Values, yes: float, no: float) -> Values:
        """Return one number where x is negative, and another elsewhere."""
        ...

    def turn(self, x: Values) -> Values:
        """Exchange rows and columns."""
        ...

    def matmul(self, x: Values, y: Values) -> Values:
        """Multiply matrices of rows and columns."""
        ...


class ArrayOps:
    """Compute with arrays."""

    def sum(self, x: Values, axes: Sequence[int]) -> Values:
        """Sum along axes, which are kept."""
        return x.sum(axis=tuple(axes), keepdims=True)

    def mean(self, x: Values, axes: Sequence[int]) -> Values:
        """Average along axes, which are kept."""
        return x.mean(axis=tuple(axes), keepdims=True)

    def largest(self, x: Values, axes: Sequence[int]) -> Values:
        """Return the largest value along axes, which are kept."""
        return x.max(axis=tuple(axes), keepdims=True)

    def relu(self, x: Values) -> Values:
        """Return what is positive, else 0."""
        return np.maximum(x, 0)

    def abs(self, x: Values) -> Values:
        """Return magnitudes."""
        return np.abs(x)

    def sqrt(self, x: Values) -> Values:
        """Return square roots."""
        return np.sqrt(x)

    def if_negative(self, x: Values, yes: float, no: float) -> Values:
        """Return one number where x is negative, and another elsewhere."""
        return np.where(x < 0, yes, no)

    def turn(self, x: Values) -> Values:
        """Exchange rows and columns."""
        return x.swapaxes(2, 3)

    def matmul(self, x: Values, y: Values) -> Values:
        """Multiply matrices of rows and columns."""
        return x @ y


ARRAYS = ArrayOps()


@dataclass(frozen=True)
class Formula:
    """A formula that makes maps; called with arrays, it is a `Reduction`.

    Parameters
    ----------
    express : callable
        ``express(ops, values, grads)`` returns (N, 1, h, w).

    Examples
    --------
    >>> @Formula
    ... def multiply(ops, values, grads):
    ...     return ops.sum(values * grads, CHANNELS)
    >>> a = np.full((1, 2, 1, 3), 2, np.float32)
    >>> multiply(a, a).tolist()
    [[[8.0, 8.0, 8.0]]]
    """

    express: Callable[[Ops, Values, Values], Values]

    def __call__(self, values: NDArray[Any], grads: NDArray[Any] | None) -> NDArray[np.float32]:
        """Compute maps (N, h, w) of values and gradients (N, C, h, w), in float64 inside."""
        wide = None if grads is None else grads.astype(np.float64)
        maps = self.express(ARRAYS, values.astype(np.float64), wide)
        one_channel: NDArray[np.float32] = maps[:, 0].astype(np.float32)
        return one_channel


# Follows what the scores read of tokens through matrices of blocks (see `ClosedForm`).
Follow: TypeAlias = Callable[[Ops, Sequence[Values], Values], Values]


@dataclass(frozen=True)
class ClosedForm:
    """How a method makes its map of one look at the classifier, so that a graph can do it too.

    Parameters
    ----------
    formula : Formula
        Of the values and gradients of the method's layer; or, for a method that looks at the
        gradient by the image, of the difference of image and fill (zeros if it has no fill)
        and that gradient, with red, green and blue as channels.
    relu : bool
        Whether the heatmap shows only what is positive.
    path : tuple of (place, weight)
        Where the gradient by the image is taken, from 0, the fill, to 1, the image, and how much
        it counts.
    follow : callable, optional
        Of a method that looks at the attention of all blocks, of which the formula makes one
        matrix each, (N, 1, T, T): ``follow(ops, matrices, read)`` returns (N, 1, 1, T), how much
        the scores read of each token at the first block, from ``read`` of the last one's.
    refusal : str
        Why the parameters that were chosen have no closed form, and what to choose instead;
        empty if they have one.
    """

    formula: Formula
    relu: bool = False
    path: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    follow: Follow | None = None
    refusal: str = ""
