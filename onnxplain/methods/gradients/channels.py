"""One number per pixel from one per colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Heatmap
from onnxplain.core.formulas import CHANNELS as COLOURS
from onnxplain.core.formulas import Formula, Ops, Values

Channels: TypeAlias = Literal["max-abs", "sum", "l2", "sum-abs"]
CHANNELS = "how the values of red, green and blue become one"


@Formula
def take_largest(ops: Ops, values: Values, grads: Values) -> Values:
    """Take the largest magnitude of the gradient."""
    return ops.largest(ops.abs(grads), COLOURS)


@Formula
def take_sum(ops: Ops, values: Values, grads: Values) -> Values:
    """Sum the gradient."""
    return ops.sum(grads, COLOURS)


@Formula
def take_length(ops: Ops, values: Values, grads: Values) -> Values:
    """Take the length of the gradient."""
    return ops.sqrt(ops.sum(grads * grads, COLOURS))


@Formula
def take_sum_of_magnitudes(ops: Ops, values: Values, grads: Values) -> Values:
    """Sum the magnitudes of the gradient."""
    return ops.sum(ops.abs(grads), COLOURS)


JOINS: Mapping[Channels, Formula] = {
    "max-abs": take_largest,
    "sum": take_sum,
    "l2": take_length,
    "sum-abs": take_sum_of_magnitudes,
}


def join_channels(values: NDArray[np.floating[Any]], how: Channels) -> Heatmap:
    """Return one number per pixel of values (H, W, 3): the largest magnitude, a sum or a length."""
    return draw_pixels(JOINS[how], np.zeros_like(values), values)


def draw_pixels(
    formula: Formula, values: NDArray[np.floating[Any]], grads: NDArray[np.floating[Any]]
) -> Heatmap:
    """Return the map (H, W) that a formula makes of values and gradients (H, W, 3)."""
    first, second = (pixels.transpose(2, 0, 1)[None] for pixels in (values, grads))
    heatmap: Heatmap = formula(first, second)[0]
    return heatmap
