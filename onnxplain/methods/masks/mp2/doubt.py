"""How far the remembered gains of cells are in doubt while MP2's mask grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Doubt:
    """The doubt about the remembered gain of each cell, a standard deviation.

    Removing a cell changes the gains of the other cells, those of near cells most: the typical
    change falls as one over the distance in cells (`benchmarks/results/mp2_modes.md`). So the
    square of the doubt grows by ``(scale / distance)**2`` for every removed cell, and is 0 once
    the cell is tried again. The scale is learned from how far the gains of tried cells were
    from the remembered ones. An untried cell is remembered with a gain of 0, in a doubt of
    one scale.

    Parameters
    ----------
    grid : int
        Cells per side of the mask.
    """

    def __init__(self, grid: int) -> None:
        self._row, self._column = np.divmod(np.arange(grid**2), grid)
        self._growth = np.ones(grid**2)  # square of the doubt over the scale
        self._scale = 0.0
        self._changes: list[NDArray[np.float64]] = []  # in the gains that this step tried
        self._growths: list[NDArray[np.float64]] = []  # of the same cells before they were tried

    def estimate(self) -> NDArray[np.float64]:
        """Estimate the doubt about the gain of each cell, in log-odds."""
        doubt: NDArray[np.float64] = self._scale * np.sqrt(self._growth)
        return doubt

    def settle(self, cells: Sequence[int], changes: NDArray[np.float64]) -> None:
        """End the doubt about tried cells, whose gains were this far from the remembered ones."""
        tried = list(cells)
        self._changes.append(changes)
        self._growths.append(self._growth[tried])
        self._growth[tried] = 0
        if not self._scale:
            self.learn_scale()

    def learn_scale(self) -> None:
        """Learn the scale from what was tried since the last time; the past counts for half."""
        growth = float(sum(each.sum() for each in self._growths))
        if growth:
            square = float(sum((each**2).sum() for each in self._changes)) / growth
            self._scale = float(np.sqrt((self._scale**2 + square) / 2 if self._scale else square))
        self._changes, self._growths = [], []

    def grow(self, removed: Sequence[int]) -> None:
        """Doubt the gains of the other cells more, as these cells are removed."""
        for y, x in zip(self._row[list(removed)], self._column[list(removed)], strict=True):
            distance = np.maximum(abs(self._row - y), abs(self._column - x))
            self._growth += 1 / np.maximum(distance, 1) ** 2
