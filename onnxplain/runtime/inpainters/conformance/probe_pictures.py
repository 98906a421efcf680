"""Two small pictures with holes, on which an inpainter shows how it behaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnxplain.core.data import Images, Size
from onnxplain.runtime.inpainters.fitting import Holes

DEEP = 4  # pixels, for pictures of 64: some programs feather the edge of a hole


@dataclass(frozen=True, eq=False)
class ProbePictures:
    """Two pictures (2, H, W, 3) of ramps and patches, each with a hole of its own."""

    images: Images
    holes: Holes

    @property
    def deep(self) -> Holes:
        """The pixels of the holes that are far from their edge."""
        return _erode(self.holes)

    @property
    def far(self) -> Holes:
        """The known pixels that are far from a hole."""
        return _erode(~self.holes)

    def change_holes(self) -> Images:
        """Return the pictures with other pixels deep in their holes."""
        return np.where(self.deep[..., None], 1 - self.images, self.images)


def make_probe(size: Size) -> ProbePictures:
    """Make pictures in which every channel order and range looks different, with two holes."""
    rows, columns = size
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    patches = np.random.default_rng(0).random((2, 4, 4, 3))
    images, holes = [], np.zeros((2, rows, columns), bool)
    for k, ramp in enumerate((x, y)):
        coarse = patches[k][(y * 3.99).astype(int), (x * 3.99).astype(int)]
        ramps = np.stack([0.2 + 0.7 * ramp, 0.5 - 0.4 * y * x, 0.1 + 0.2 * (1 - ramp)], axis=2)
        images.append(0.75 * ramps + 0.25 * coarse)
    holes[0, rows // 8 : rows * 5 // 8, columns // 4 : columns * 3 // 4] = True
    holes[1, rows // 2 : rows * 7 // 8, columns // 8 : columns * 5 // 8] = True
    return ProbePictures(np.stack(images).astype(np.float32), holes)


def _erode(inside: Holes) -> Holes:
    """Keep the pixels that are some pixels away from those outside."""
    depth = min(DEEP, min(inside.shape[1:]) // 16)
    eroded = inside
    for axis in (1, 2):
        for step in range(-depth, depth + 1):
            eroded = eroded & np.roll(inside, step, axis)
    return eroded
