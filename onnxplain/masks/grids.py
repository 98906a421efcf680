"""Masks that are coarse grids of cells, enlarged smoothly or sharply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Mask, Size
from onnxplain.masks.codes import Codes
from onnxplain.masks.enlarge import find_nearest_cells, make_bilinear_matrix


@dataclass(frozen=True, slots=True, eq=False)
class GridMasks:
    """Coarse random grids, enlarged bilinearly and shifted, as in RISE (sec. 3.2).

    A grid is enlarged to one cell more than the image needs; the shift says which part of it
    is the mask. Beyond the centres of its outermost cells the grid is mirrored, as by the
    scikit-image that RISE's program calls.

    Parameters
    ----------
    cells : (N, g, g) ndarray of uint8
        1 removes a cell.
    offsets : (N, 2) ndarray of int
        Shift in rows and columns, each from 0 to one pixel less than the side of a cell.
    size : (rows, columns)
        Size of the masks.
    """

    cells: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    size: Size

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def cell(self) -> Size:
        """Rows and columns of a cell in pixels."""
        grid = self.cells.shape[1]
        rows, columns = self.size
        return -(-rows // grid), -(-columns // grid)

    def render(self, start: int, stop: int) -> Mask:
        """Render the masks from `start` to `stop`."""
        masks = np.empty((stop - start, *self.size), np.float32)
        down, across = (matrix.astype(np.float32) for matrix in self._make_matrices())
        rows, columns = self.size
        for mask, cells, (top, left) in zip(
            masks, self.cells[start:stop], self.offsets[start:stop], strict=True
        ):
            tall = down[top : top + rows] @ cells.astype(np.float32)
            np.matmul(tall, across[left : left + columns].T, out=mask)
        return masks

    def codes(self, start: int, stop: int) -> Codes:
        """Encode the masks from `start` to `stop` by their cells and shifts."""
        cells, offsets = self.cells[start:stop], self.offsets[start:stop].astype(np.int32)
        return Codes("grid", {"cells": cells, "offsets": offsets}, self._compute_statics)

    def weighted_sum(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute ``sum_i weights[i] * mask[i]``, shape (H, W), without rendering every mask.

        Enlarging is linear, so the grids that share a shift are summed before they are enlarged.
        """
        grid = self.cells.shape[1]
        summed = np.zeros((*self.cell, grid, grid))  # per shift
        tops, lefts = self.offsets.T
        np.add.at(summed, (tops, lefts), weights[:, None, None] * self.cells)
        down, across = self._make_banks()
        wide = np.tensordot(summed, across, axes=((1, 3), (0, 2)))  # (shift down, g, W)
        total: NDArray[np.float64] = np.tensordot(down, wide, axes=((0, 2), (0, 1)))
        return total

    def part(self, start: int, stop: int) -> GridMasks:
        """Return the masks from `start` to `stop`."""
        return GridMasks(self.cells[start:stop], self.offsets[start:stop], self.size)

    def sample(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return every mask at some rows and columns of pixels, (N, rows, columns)."""
        down, across = self._make_matrices()
        tall = down[self.offsets[:, :1] + rows] @ self.cells.astype(np.float64)
        sampled: NDArray[np.float64] = tall @ across[self.offsets[:, 1:] + columns].swapaxes(1, 2)
        return sampled

    def _make_matrices(self) -> list[NDArray[np.float64]]:
        """Make the matrices that enlarge the rows and the columns of a grid, before the shift."""
        grid = self.cells.shape[1]
        return [make_bilinear_matrix(grid, (grid + 1) * cell, "mirror") for cell in self.cell]

    def _make_banks(self) -> list[NDArray[np.float64]]:
        """Make the matrices of every shift, for the rows and the columns: (shift, side, g)."""
        return [
            np.stack([matrix[shift : shift + side] for shift in range(cell)])
            for matrix, cell, side in zip(self._make_matrices(), self.cell, self.size, strict=True)
        ]

    def _compute_statics(self) -> Mapping[str, NDArray[Any]]:
        rows, columns = (bank.astype(np.float32) for bank in self._make_banks())
        return {"row_bank": rows, "column_bank": np.ascontiguousarray(columns.transpose(0, 2, 1))}


@dataclass(frozen=True, slots=True, eq=False)
class SmoothCellMasks:
    """Coarse grids over the image, interpolated linearly between the centres of their cells.

    Parameters
    ----------
    cells : (N, g, g) ndarray of uint8
        1 removes a cell.
    size : (rows, columns)
        Size of the masks.
    """

    cells: NDArray[np.uint8]
    size: Size

    def __len__(self) -> int:
        return len(self.cells)

    def render(self, start: int, stop: int) -> Mask:
        """Render the masks from `start` to `stop`."""
        down, across = self._make_matrices()
        masks: Mask = down @ self.cells[start:stop].astype(np.float32) @ across.T
        return masks

    def codes(self, start: int, stop: int) -> Codes:
        """Encode the masks from `start` to `stop` by their cells, as grids without a shift."""
        cells = self.cells[start:stop]
        offsets = np.zeros((len(cells), 2), np.int32)
        return Codes("grid", {"cells": cells, "offsets": offsets}, self._compute_statics)

    def _make_matrices(self) -> list[NDArray[np.float32]]:
        """Make the matrices that enlarge the rows and the columns of a grid."""
        grid = self.cells.shape[1]
        return [make_bilinear_matrix(grid, side).astype(np.float32) for side in self.size]

    def _compute_statics(self) -> Mapping[str, NDArray[Any]]:
        down, across = self._make_matrices()
        return {"row_bank": down[None], "column_bank": np.ascontiguousarray(across.T[None])}


@dataclass(frozen=True, slots=True, eq=False)
class CellMasks:
    """Grids of values, enlarged by nearest neighbour, so that cells stay sharp.

    Parameters
    ----------
    cells : (N, g, h) ndarray of bool, or of float32 in [0, 1]
        1 removes a cell. Bool crosses to a GPU as bits.
    size : (rows, columns)
        Size of the masks.
    """

    cells: NDArray[np.bool_] | NDArray[np.float32]
    size: Size

    def __len__(self) -> int:
        return len(self.cells)

    def render(self, start: int, stop: int) -> Mask:
        """Render the masks from `start` to `stop`."""
        rows, columns = self._find_cells()
        # First the columns, then whole rows: much faster than indexing both at once.
        cells = self.cells[start:stop].astype(np.float32)
        return np.take(np.take(cells, columns, axis=2), rows, axis=1)

    def codes(self, start: int, stop: int) -> Codes:
        """Encode the masks from `start` to `stop` by their cells; bool cells become bits."""
        cells = self.cells[start:stop]
        if cells.dtype != bool:
            return Codes("cells", {"cells": cells}, self._compute_statics)
        rows, columns = cells.shape[1:]
        flat = cells.reshape(-1, rows * columns).view(np.uint8)
        return Codes("bits", {"bits": np.packbits(flat, axis=1)}, self._compute_statics)

    def _compute_statics(self) -> Mapping[str, NDArray[Any]]:
        rows, columns = (cells.astype(np.int32) for cells in self._find_cells())
        if self.cells.dtype == bool:  # bits lie in one line: a row is given by its first bit
            rows *= self.cells.shape[2]
        return {"rows": rows, "columns": columns}

    def _find_cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the cell of each row of pixels, and of each column."""
        _, g, h = self.cells.shape
        return find_nearest_cells(g, self.size[0]), find_nearest_cells(h, self.size[1])
