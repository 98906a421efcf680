"""Families of masks, rendered a slice at a time; 1 removes a pixel, 0 keeps it.

A family is a few numbers a mask (a patch's corner, a grid's cells, one bit a segment, a
count of pixels): those cross to a GPU instead of images, and a slice is rendered where it
is used. Every family is a frozen value and knows nothing of images or models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Mask, Size
from onnxplain.core.protocols import Masks
from onnxplain.image import resize


def render_masks(masks: Masks, start: int, stop: int) -> Mask:
    """Masks `start` to `stop` of a family, which may come from another package.

    Raises
    ------
    ValueError
        If it gives others.
    """
    found = masks.render(start, stop)
    if found.shape != (stop - start, *masks.size):
        raise ValueError(
            f"{type(masks).__name__}: render({start}, {stop}) gives masks of shape "
            f"{(stop - start, *masks.size)}, got {found.shape}"
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class PatchMasks:
    """Each mask removes one square of `patch` x `patch` pixels, clipped at the border.

    Parameters
    ----------
    corners : (N, 2) ndarray of int
        Row and column of each square's first pixel; may lie outside the image.
    patch : int
        Side of the square in pixels.
    size : (rows, columns)
        Size of the masks.
    """

    corners: NDArray[np.int64]
    patch: int
    size: Size

    def __len__(self) -> int:
        return len(self.corners)

    def render(self, start: int, stop: int) -> Mask:
        """Masks `start` to `stop`."""
        out = np.zeros((stop - start, *self.size), np.float32)
        for mask, (top, left) in zip(out, self.corners[start:stop], strict=True):
            mask[
                max(top, 0) : max(top + self.patch, 0), max(left, 0) : max(left + self.patch, 0)
            ] = 1
        return out


def place_patches(
    size: Size, patch: int, stride: int, owner: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row and first column of every position of a sliding patch; all lie inside.

    Raises
    ------
    ValueError
        If the patch does not fit in the image; `owner` is who asks.
    """
    if patch > min(size):
        raise ValueError(
            f"{owner}: patch must fit in the image of {size[0]} x {size[1]} pixels that the "
            f"classifier takes, got {patch}"
        )
    rows, columns = (np.arange(0, side - patch + 1, stride) for side in size)
    return rows, columns


def list_corners(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first pixel (N, 2) of every patch of a grid, row by row."""
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def prepend_empty_mask(corners: NDArray[np.int64], patch: int, size: Size) -> PatchMasks:
    """Masks of patches, and before them one that removes nothing: the image itself."""
    outside = np.full((1, 2), -patch)
    return PatchMasks(np.concatenate([outside, corners]), patch, size)


@dataclass(frozen=True, slots=True, eq=False)
class GridMasks:
    """Coarse random grids, enlarged bilinearly and shifted, as in RISE (sec. 3.2).

    Parameters
    ----------
    cells : (N, g, g) ndarray of uint8
        1 removes a cell.
    offsets : (N, 2) ndarray of int
        Shift in rows and columns, each from 0 to one cell less a pixel.
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
        """Masks `start` to `stop`."""
        out = np.empty((stop - start, *self.size), np.float32)
        for mask, cells, offset in zip(
            out, self.cells[start:stop], self.offsets[start:stop], strict=True
        ):
            mask[:] = self._enlarge(cells.astype(np.float32), offset)
        return out

    def weighted_sum(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """``sum_i weights[i] * mask[i]``, shape (H, W), without rendering every mask.

        Enlarging is linear, so the grids of one offset are summed before they are enlarged:
        at most one enlargement an offset instead of one a mask.
        """
        total = np.zeros(self.size, np.float64)
        _, columns = self.cell
        key = self.offsets[:, 0] * columns + self.offsets[:, 1]
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        weighted = weights[order, None, None] * self.cells[order]
        for start, summed in zip(starts, np.add.reduceat(weighted, starts), strict=True):
            total += self._enlarge(summed, self.offsets[order[start]])
        return total

    def _enlarge(
        self, cells: NDArray[np.floating], offset: NDArray[np.int64]
    ) -> NDArray[np.floating]:
        grid = self.cells.shape[1]
        rows, columns = self.cell
        top, left = offset
        large = resize(cells, ((grid + 1) * rows, (grid + 1) * columns))
        return large[top : top + self.size[0], left : left + self.size[1]]


@dataclass(frozen=True, slots=True, eq=False)
class SegmentMasks:
    """Each mask removes a set of segments.

    Parameters
    ----------
    segments : (H, W) ndarray of int
        Label of each pixel, 0 to S - 1.
    removed : (N, S) ndarray of uint8
        1 removes a segment.
    """

    segments: NDArray[np.int64]
    removed: NDArray[np.uint8]

    @property
    def size(self) -> Size:
        """Rows and columns of every mask."""
        rows, columns = self.segments.shape
        return rows, columns

    def __len__(self) -> int:
        return len(self.removed)

    def render(self, start: int, stop: int) -> Mask:
        """Masks `start` to `stop`."""
        # Four times as fast as indexing with the labels.
        return np.take(self.removed[start:stop].astype(np.float32), self.segments, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class CellMasks:
    """A grid of values, enlarged by nearest neighbour: cells stay sharp.

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
        """Masks `start` to `stop`."""
        cells = self.cells[start:stop].astype(np.float32)
        rows, columns = (
            find_nearest_cells(n, pixels)
            for n, pixels in zip(cells.shape[1:], self.size, strict=True)
        )
        # First the columns, then whole rows: much faster than indexing both at once.
        return np.take(np.take(cells, columns, axis=2), rows, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class RankMasks:
    """Mask i removes the `removed[i]` pixels of lowest rank.

    Parameters
    ----------
    rank : (H, W) ndarray of int
        0 for the pixel that goes first.
    removed : (N,) ndarray of int
        How many pixels each mask removes.
    """

    rank: NDArray[np.int64]
    removed: NDArray[np.int64]

    @property
    def size(self) -> Size:
        """Rows and columns of every mask."""
        rows, columns = self.rank.shape
        return rows, columns

    def __len__(self) -> int:
        return len(self.removed)

    def render(self, start: int, stop: int) -> Mask:
        """Masks `start` to `stop`."""
        return (self.rank < self.removed[start:stop, None, None]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class UnionMasks:
    """Mask i removes whatever a mask of its group does.

    Parameters
    ----------
    masks : Masks
        The members.
    groups : (N,) ndarray of int
        Each one's group, in rising order: those of a group stand together.
    """

    masks: Masks
    groups: NDArray[np.int64]

    @property
    def size(self) -> Size:
        """Rows and columns of every mask."""
        return self.masks.size

    def __len__(self) -> int:
        return len(self.masks)

    def render(self, start: int, stop: int) -> Mask:
        """Masks `start` to `stop`."""
        out = np.empty((stop - start, *self.size), np.float32)
        groups = self.groups[start:stop]
        for group in np.unique(groups):
            first, last = np.searchsorted(self.groups, [group, group + 1])
            out[groups == group] = self.masks.render(first, last).max(axis=0)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class ArrayMasks:
    """Masks that are held as they are.

    Parameters
    ----------
    values : (N, H, W) ndarray of float32 in [0, 1]
        1 removes.
    """

    values: Mask

    @property
    def size(self) -> Size:
        """Rows and columns of every mask."""
        _, rows, columns = self.values.shape
        return rows, columns

    def __len__(self) -> int:
        return len(self.values)

    def render(self, start: int, stop: int) -> Mask:
        """Masks `start` to `stop`."""
        return self.values[start:stop].astype(np.float32, copy=False)


def find_nearest_cells(cells: int, pixels: int) -> NDArray[np.int64]:
    """The cell in which each pixel's centre lies, shape (pixels,)."""
    index: NDArray[np.int64] = (np.arange(pixels) * 2 + 1) * cells // (2 * pixels)
    return index


def sum_weighted(masks: Masks, weights: NDArray[np.float64], step: int = 64) -> NDArray[np.float64]:
    """``sum_i weights[i] * mask[i]``, shape (H, W), a few masks at a time."""
    total = np.zeros(masks.size, np.float64)
    for start in range(0, len(masks), step):
        part = masks.render(start, min(start + step, len(masks)))
        total += np.tensordot(weights[start : start + len(part)], part, axes=1)
    return total
