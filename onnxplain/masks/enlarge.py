"""Bringing the cells of a coarse mask to pixels, and gradients back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Size
from onnxplain.image import resize
from onnxplain.masks.families import find_nearest_cells

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Enlargement:
    """Brings cells to pixels by two matrices, so that gradients can go back.

    ``pixels = down @ cells @ across.T``
    """

    down: Array  # (H, g)
    across: Array  # (W, h)

    @classmethod
    def nearest(cls, grid: int, size: Size) -> Enlargement:
        """Every pixel takes the cell in which its centre lies."""
        down, across = (np.eye(grid)[find_nearest_cells(grid, side)] for side in size)
        return cls(down, across)

    @classmethod
    def bilinear(cls, grid: int, size: Size) -> Enlargement:
        """Linear between the centres of the cells."""
        identity = np.eye(grid)
        down, across = (resize(identity, (side, grid)) for side in size)
        return cls(down, across)

    def pixels(self, cells: Array) -> Array:
        """Cells (..., g, h) as pixels (..., H, W)."""
        enlarged: Array = self.down @ cells @ self.across.T
        return enlarged

    def cells(self, pixels: Array) -> Array:
        """Gradients by pixel (..., H, W) as gradients by cell (..., g, h): the adjoint."""
        gathered: Array = self.down.T @ pixels @ self.across
        return gathered
