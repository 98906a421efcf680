"""Masks in the few numbers that a graph on the device renders them from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.protocols import Masks
from onnxplain.masks.families import (
    CellMasks,
    GridMasks,
    PatchMasks,
    RankMasks,
    SegmentMasks,
    find_nearest_cells,
)

CodeFamily: TypeAlias = Literal["patch", "grid", "segments", "cells", "bits", "rank"]


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Masks in the few numbers that a mask graph takes.

    Parameters
    ----------
    family : str
        Which graph renders them.
    masks : Masks
        What they are codes of.
    per_evaluation : mapping
        Inputs with one row a mask.
    """

    family: CodeFamily
    masks: Masks
    per_evaluation: Mapping[str, NDArray[Any]]

    @property
    def statics(self) -> Mapping[str, NDArray[Any]]:
        """Inputs that are the same for all masks of the value; made anew at each call."""
        masks = self.masks
        if isinstance(masks, PatchMasks):
            return {"patch": np.array(masks.patch, np.int32)}
        if isinstance(masks, GridMasks):
            return _banks(masks)
        if isinstance(masks, SegmentMasks):
            return {"labels": masks.segments.astype(np.int32)}
        if isinstance(masks, CellMasks):
            shape = masks.cells.shape[1:]
            rows, columns = (
                find_nearest_cells(n, pixels).astype(np.int32)
                for n, pixels in zip(shape, masks.size, strict=True)
            )
            return {"rows": rows * shape[1] if self.family == "bits" else rows, "columns": columns}
        assert isinstance(masks, RankMasks)
        return {"rank": masks.rank.astype(np.int32)}


def encode_masks(masks: Masks, start: int, stop: int) -> Codes | None:
    """The masks `start` to `stop` as codes; None for masks that are held as arrays."""
    part = slice(start, stop)
    if isinstance(masks, PatchMasks):
        return Codes("patch", masks, {"corners": masks.corners[part].astype(np.int32)})
    if isinstance(masks, GridMasks):
        offsets = masks.offsets[part].astype(np.int32)
        return Codes("grid", masks, {"cells": masks.cells[part], "offsets": offsets})
    if isinstance(masks, SegmentMasks):
        return Codes("segments", masks, {"removed": masks.removed[part]})
    if isinstance(masks, CellMasks):
        cells = masks.cells[part]
        if cells.dtype == bool:
            rows, columns = cells.shape[1:]
            flat = cells.reshape(-1, rows * columns).view(np.uint8)
            bits = np.packbits(flat, axis=1)
            return Codes("bits", masks, {"bits": bits})
        return Codes("cells", masks, {"cells": cells})
    if isinstance(masks, RankMasks):
        return Codes("rank", masks, {"removed": masks.removed[part].astype(np.int32)})
    return None


def _banks(masks: GridMasks) -> dict[str, NDArray[np.float32]]:
    """For every shift, the matrices that enlarge a grid's rows and columns to the image's.

    They are windows of one matrix, that of enlarging to a cell more than the image has.
    """
    grid = masks.cells.shape[1]
    banks = [
        np.stack([enlarge[shift : shift + pixels] for shift in range(cell)])
        for enlarge, cell, pixels in zip(
            (_enlarging(grid, cell) for cell in masks.cell), masks.cell, masks.size, strict=True
        )
    ]
    rows, columns = banks
    return {"row_bank": rows, "column_bank": np.ascontiguousarray(columns.transpose(0, 2, 1))}


def _enlarging(grid: int, cell: int) -> NDArray[np.float32]:
    """Bilinear enlargement of `grid` values to ``(grid + 1) * cell``, as a matrix.

    Pixel centres are at halves; beyond the outermost centres the value stays.
    """
    pixels = (grid + 1) * cell
    centre = np.clip((np.arange(pixels) + 0.5) * (grid / pixels) - 0.5, 0, grid - 1)
    low = np.minimum(centre.astype(np.int64), max(grid - 2, 0))
    matrix = np.zeros((pixels, grid), np.float64)
    np.add.at(matrix, (np.arange(pixels), low), 1 - (centre - low))
    np.add.at(matrix, (np.arange(pixels), np.minimum(low + 1, grid - 1)), centre - low)
    return matrix.astype(np.float32)
