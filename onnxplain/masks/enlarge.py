"""From the cells of a coarse mask to pixels, and from gradients per pixel back to cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Size

Array: TypeAlias = NDArray[np.float64]
Border: TypeAlias = Literal["edge", "mirror"]


@dataclass(frozen=True, eq=False)
class Enlargement:
    """A linear map from cells to pixels as two matrices, so that gradients can go back.

    ``pixels = down @ cells @ across.T``
    """

    down: Array  # (H, g)
    across: Array  # (W, h)

    @classmethod
    def nearest(cls, grid: int, size: Size) -> Enlargement:
        """Make the map that gives every pixel the value of the cell in which its centre lies."""
        down, across = (np.eye(grid)[find_nearest_cells(grid, side)] for side in size)
        return cls(down, across)

    @classmethod
    def bilinear(cls, grid: int, size: Size) -> Enlargement:
        """Make the map that interpolates linearly between the centres of the cells."""
        down, across = (make_bilinear_matrix(grid, side) for side in size)
        return cls(down, across)

    def pixels(self, cells: Array) -> Array:
        """Enlarge cells (..., g, h) to pixels (..., H, W)."""
        enlarged: Array = self.down @ cells @ self.across.T
        return enlarged

    def cells(self, pixels: Array) -> Array:
        """Turn gradients per pixel (..., H, W) into gradients per cell (..., g, h): the adjoint."""
        gathered: Array = self.down.T @ pixels @ self.across
        return gathered


def find_nearest_cells(cells: int, pixels: int) -> NDArray[np.int64]:
    """Find the cell in which each pixel's centre lies, shape (pixels,)."""
    index: NDArray[np.int64] = (np.arange(pixels) * 2 + 1) * cells // (2 * pixels)
    return index


@lru_cache(maxsize=64)  # one call for each batch of masks
def make_bilinear_matrix(cells: int, pixels: int, border: Border = "edge") -> Array:
    """Make the matrix that enlarges a row of cells bilinearly, shape (pixels, cells).

    Pixel centres lie at half-integers. The matrix is shared, and can only be read.

    Parameters
    ----------
    cells, pixels : int
        Length of the row before and after.
    border : {'edge', 'mirror'}
        What lies beyond the centres of the outermost cells: their own value, as in PyTorch and
        OpenCV, or the row mirrored at these centres, as in scikit-image's ``resize`` with its
        default ``mode='reflect'``.
    """
    centre = (np.arange(pixels) + 0.5) * (cells / pixels) - 0.5
    if border == "mirror":
        centre = np.abs(centre)
        centre = np.minimum(centre, 2 * (cells - 1) - centre)
    centre = np.clip(centre, 0, cells - 1)
    low = np.minimum(centre.astype(np.int64), max(cells - 2, 0))
    matrix = np.zeros((pixels, cells))
    np.add.at(matrix, (np.arange(pixels), low), 1 - (centre - low))
    np.add.at(matrix, (np.arange(pixels), np.minimum(low + 1, cells - 1)), centre - low)
    matrix.flags.writeable = False
    return matrix
