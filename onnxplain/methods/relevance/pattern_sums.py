"""Sums from which patterns are estimated (Kindermans et al., ICLR 2018).

A neuron computes ``y = w' x``, without its bias. Its pattern a says what x has in common with y:
the signal in x is estimated as ``a y``, and ``w' a = 1``. With E+ the mean over the samples at
which the rectifier behind the neuron is active, and E that over all [1]_:

- ``linear``: ``a`` is ``E[x y] - E[x] E[y]``, divided by ``w'`` times that;
- ``relu``: ``a`` is ``E+[x y] - E+[x] E[y]``, divided by ``w'`` times that.

References
----------
.. [1] Kindermans et al., Learning how to explain neural networks: PatternNet and
   PatternAttribution, ICLR 2018, eq. 6 to 8, :arXiv:`1705.05598`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Wide = NDArray[np.float64]
SMALLEST = 1e-12  # of a neuron's variance, as a share of what its parts are: below, it is dead


@dataclass(eq=False)
class PatternSums:
    """Sums over samples of a layer of G groups, with D inputs and M neurons each.

    Parameters
    ----------
    weights : (G, D, M) ndarray
        The layer's.
    """

    weights: Wide

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with no samples."""
        groups, inputs, neurons = self.weights.shape
        self.n = 0.0
        self.x: Wide = np.zeros((groups, inputs, 1))
        self.y: Wide = np.zeros((groups, 1, neurons))
        self.xy: Wide = np.zeros((groups, inputs, neurons))
        self.n_active: Wide = np.zeros((groups, 1, neurons))
        self.x_active: Wide = np.zeros((groups, inputs, neurons))
        self.xy_active: Wide = np.zeros((groups, inputs, neurons))

    def add(self, samples: NDArray[Any], bias: Wide | None) -> None:
        """Add samples (S, G, D) of what the layer reads.

        Parameters
        ----------
        samples : (S, G, D) ndarray
        bias : (G, 1, M) ndarray, optional
            What the rectifier behind the layer sees more than ``w' x``; None if there is no
            rectifier, so that every sample counts as active.
        """
        rows = samples.astype(np.float64).transpose(1, 0, 2)  # (G, S, D)
        columns = rows.transpose(0, 2, 1)
        y = rows @ self.weights
        active = np.ones_like(y) if bias is None else (y + bias > 0).astype(np.float64)
        self.n += len(samples)
        self.x += columns.sum(axis=2, keepdims=True)
        self.y += y.sum(axis=1, keepdims=True)
        self.xy += columns @ y
        self.n_active += active.sum(axis=1, keepdims=True)
        self.x_active += columns @ active
        self.xy_active += columns @ (y * active)

    def estimate(self) -> dict[str, Wide]:
        """Return the pattern of each neuron, (G, D, M), by estimator; 0 for dead neurons."""
        mean_y = self.y / self.n
        active = np.maximum(self.n_active, 1)
        return {
            "linear": self._scale(self.xy / self.n, self.x / self.n * mean_y),
            "relu": self._scale(self.xy_active / active, self.x_active / active * mean_y),
        }

    def _scale(self, joint: Wide, apart: Wide) -> Wide:
        covariance = joint - apart
        along = (self.weights * covariance).sum(axis=1, keepdims=True)
        size = (np.abs(self.weights) * (np.abs(joint) + np.abs(apart))).sum(axis=1, keepdims=True)
        lives = np.abs(along) > SMALLEST * size
        return np.where(lives, covariance / np.where(lives, along, 1), 0)

    def get_arrays(self) -> dict[str, Wide]:
        """Return the sums, for a file from which a run goes on."""
        names = ("x", "y", "xy", "n_active", "x_active", "xy_active")
        return {"n": np.array(self.n), **{name: getattr(self, name) for name in names}}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from sums that were stored.

        Raises
        ------
        ValueError
            If they are of another layer.
        """
        for name, value in self.get_arrays().items():
            if arrays[name].shape != value.shape:
                raise ValueError(f"{name} has shape {arrays[name].shape}, not {value.shape}")
            setattr(self, name, float(arrays[name]) if name == "n" else arrays[name])
