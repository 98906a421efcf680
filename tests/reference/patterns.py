"""Patterns and the walk through them, as the paper defines them: one neuron at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.reference.relevance import Step, run

Array = NDArray[np.float64]


def estimate(x: Array, w: Array, bias: float | None) -> dict[str, Array]:
    """Return the patterns of one neuron from samples (S, D); None: no rectifier follows."""
    y = x @ w
    active = np.ones(len(y), bool) if bias is None else y + bias > 0
    found = {}
    for name, chosen in (("linear", np.ones(len(y), bool)), ("relu", active)):
        if not chosen.any():
            found[name] = np.zeros_like(w)
            continue
        joint = np.mean([x[s] * y[s] for s in np.flatnonzero(chosen)], axis=0)
        apart = x[chosen].mean(axis=0) * y.mean()
        along = w @ joint - w @ apart
        found[name] = (joint - apart) / along
    return found


def walk(
    steps: list[Step], x: Array, target: int, patterns: list[Array], *, attribution: bool
) -> Array:
    """Hand the score down through patterns, one matrix (out, in) for each layer of weights."""
    values = run(steps, x)
    signal = np.zeros_like(values[-1])
    signal[target] = values[-1][target]
    left = list(patterns)
    for step, a, y in reversed(list(zip(steps, values[:-1], values[1:], strict=True))):
        if step.linear is not None:
            pattern = left.pop()
            signal = (pattern * step.linear.matrix if attribution else pattern).T @ signal
        elif step.kind == "relu":
            signal = signal * (y > 0)
        else:
            assert step.kind == "max"
            below = np.zeros_like(a)
            for window, s in zip(step.windows, signal, strict=True):
                below[window[int(np.argmax(a[window]))]] += s
            signal = below
    return signal
