"""Masks that keep what maps show, such as those of a layer's channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Mask, Size
from onnxplain.masks.enlarge import make_bilinear_matrix


@dataclass(frozen=True, slots=True, eq=False)
class MapMasks:
    """Each mask removes a pixel the more, the lower a map is there.

    Maps are enlarged bilinearly, with the centres of cells at half-integers. Nothing is removed
    where a map is highest, and all where it is lowest; of a constant map nothing is kept.

    Parameters
    ----------
    maps : (N, h, w) ndarray of float32
        They are enlarged a slice at a time.
    size : (rows, columns)
        Size of every mask.
    """

    maps: NDArray[np.float32]
    size: Size

    def __len__(self) -> int:
        return len(self.maps)

    def render(self, start: int, stop: int) -> Mask:
        """Render the masks from `start` to `stop`."""
        maps = self.maps[start:stop].astype(np.float64)
        grid = maps.shape[1:]
        down, across = (make_bilinear_matrix(*sides) for sides in zip(grid, self.size, strict=True))
        large = down @ maps @ across.T
        low, high = (extreme(axis=(1, 2), keepdims=True) for extreme in (large.min, large.max))
        # The maps decide what is constant: enlarging rounds.
        varies = np.ptp(maps, axis=(1, 2)) > 0
        span = np.where(varies[:, None, None], high - low, np.inf)
        removed: Mask = (1 - (large - low) / span).astype(np.float32)
        return removed
