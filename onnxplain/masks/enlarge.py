"""From the cells of a coarse mask to pixels, and from gradients per pixel back to cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Size
from onnxplain.image import resize

Array = NDArray[np.float64]


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
        identity = np.eye(grid)
        down, across = (resize(identity, (side, grid)) for side in size)
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


def make_shifted_enlargements(grid: int, cell: int, pixels: int) -> NDArray[np.float32]:
    """Make one matrix per shift, each of which enlarges a row of cells to pixels.

    One bilinear matrix enlarges the row to one cell more than the image needs; the matrix of a
    shift consists of its rows from the shift on, as many as the image has pixels.

    Parameters
    ----------
    grid : int
        Cells in a row.
    cell : int
        Pixels per cell; shifts are 0 to ``cell - 1``.
    pixels : int
        Pixels in a row of the image.

    Returns
    -------
    matrices : (cell, pixels, grid) ndarray of float32
    """
    whole = _make_bilinear_matrix(grid, (grid + 1) * cell)
    return np.stack([whole[shift : shift + pixels] for shift in range(cell)])


def _make_bilinear_matrix(grid: int, pixels: int) -> NDArray[np.float32]:
    """Make the matrix of bilinear enlargement, shape (pixels, grid).

    Pixel centres lie at half-integers; beyond the outermost cell centres the value is constant.
    """
    centre = np.clip((np.arange(pixels) + 0.5) * (grid / pixels) - 0.5, 0, grid - 1)
    low = np.minimum(centre.astype(np.int64), max(grid - 2, 0))
    matrix = np.zeros((pixels, grid), np.float64)
    np.add.at(matrix, (np.arange(pixels), low), 1 - (centre - low))
    np.add.at(matrix, (np.arange(pixels), np.minimum(low + 1, grid - 1)), centre - low)
    return matrix.astype(np.float32)
