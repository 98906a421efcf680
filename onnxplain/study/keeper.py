"""Kept heatmaps, which other metrics can judge later without explaining again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxplain.core.arrays import read_npy
from onnxplain.core.data import Heatmap, Size
from onnxplain.core.files import wrap_write_errors, write_atomic


@dataclass(frozen=True)
class Keeper:
    """A folder of heatmaps; the name of each depends on everything that decides its values."""

    folder: Path

    def find(self, name: str, size: Size) -> Heatmap | None:
        """Read a kept heatmap (H, W); return None if there is none, or it is damaged."""
        try:
            heatmap = read_npy(self.folder / f"{name}.npy")
        except (OSError, ValueError, EOFError):
            return None
        is_whole = heatmap.shape == size and heatmap.dtype == np.float32
        return heatmap if is_whole else None

    def keep(self, name: str, heatmap: Heatmap) -> None:
        """Write a heatmap (H, W) atomically."""
        content = io.BytesIO()
        np.save(content, heatmap, allow_pickle=False)
        with wrap_write_errors(self.folder):
            write_atomic(self.folder / f"{name}.npy", content.getvalue())
