"""The fill of the whole image, with which gradient methods compare it."""

from __future__ import annotations

import numpy as np

from onnxplain.core.data import Case, Image
from onnxplain.core.flow import FillQuery, Flow
from onnxplain.core.formulas import CHANNELS, Formula, Ops, Values
from onnxplain.masks.families import ArrayMasks


@Formula
def multiply(ops: Ops, values: Values, grads: Values) -> Values:
    """Multiply the difference from the fill by the gradient, and sum over colours."""
    return ops.sum(values * grads, CHANNELS)


def ask_baseline(case: Case) -> Flow[Image]:
    """Ask for the fill of the whole image."""
    everything = ArrayMasks(np.ones((1, *case.size), np.float32))
    reply = yield FillQuery(everything)
    assert reply.images is not None
    baseline: Image = reply.images[0]
    return baseline
