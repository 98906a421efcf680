"""Masks that each remove a square patch, and the positions of a sliding patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Mask, Size
from onnxplain.masks.codes import Codes


@dataclass(frozen=True, slots=True, eq=False)
class PatchMasks:
    """Each mask removes one square of `patch` x `patch` pixels, clipped at the border.

    Parameters
    ----------
    corners : (N, 2) ndarray of int
        Row and column of each square's first pixel, which may lie outside the image.
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
        """Render the masks from `start` to `stop`."""
        masks = np.zeros((stop - start, *self.size), np.float32)
        for mask, (top, left) in zip(masks, self.corners[start:stop], strict=True):
            mask[
                max(top, 0) : max(top + self.patch, 0), max(left, 0) : max(left + self.patch, 0)
            ] = 1
        return masks

    def codes(self, start: int, stop: int) -> Codes:
        """Encode the masks from `start` to `stop` by their corners."""
        corners = self.corners[start:stop].astype(np.int32)
        return Codes("patch", {"corners": corners}, self._compute_statics)

    def _compute_statics(self) -> Mapping[str, NDArray[Any]]:
        return {"patch": np.array(self.patch, np.int32)}


def place_patches(
    size: Size, patch: int, stride: int, owner: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row and the first column of every position of a sliding patch.

    All positions lie inside the image.

    Raises
    ------
    ValueError
        If the patch does not fit into the image; the message begins with `owner`.
    """
    if patch > min(size):
        raise ValueError(
            f"{owner}: patch must fit in the image of {size[0]} x {size[1]} pixels that the "
            f"classifier takes, got {patch}"
        )
    rows, columns = (np.arange(0, side - patch + 1, stride) for side in size)
    return rows, columns


def list_corners(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """List the first pixel (N, 2) of every patch of a grid, row by row."""
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def prepend_empty_mask(corners: NDArray[np.int64], patch: int, size: Size) -> PatchMasks:
    """Make one mask per patch, after a first mask that removes nothing."""
    outside = np.full((1, 2), -patch)
    return PatchMasks(np.concatenate([outside, corners]), patch, size)
