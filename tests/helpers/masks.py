"""Masks of every family, and a simple reference composition."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain.core.protocols import Masks
from onnxplain.masks.codes import CodedMasks
from onnxplain.masks.families import (
    ArrayMasks,
    CellMasks,
    GridMasks,
    MapMasks,
    PatchMasks,
    RankMasks,
    SegmentMasks,
    SmoothCellMasks,
)
from tests.helpers import models
from tests.helpers.specs import SIZE


def make_families(n: int = 5, size: tuple[int, int] = SIZE, seed: int = 0) -> dict[str, Masks]:
    """Make masks of every family, some partly outside the image, some empty, some full."""
    rng = np.random.default_rng(seed)
    rows, columns = size
    pixels = rows * columns
    bits = rng.integers(0, 2, (n, 6)).astype(np.uint8)
    bits[0], bits[1] = 0, 1
    return {
        "patch": PatchMasks(rng.integers(-3, max(size), (n, 2)), 4, size),
        "grid": GridMasks(
            rng.integers(0, 2, (n, 3, 3)).astype(np.uint8),
            np.stack([rng.integers(0, -(-rows // 3), n), rng.integers(0, -(-columns // 3), n)], 1),
            size,
        ),
        "smooth cell": SmoothCellMasks(rng.integers(0, 2, (n, 3, 3)).astype(np.uint8), size),
        "segment": SegmentMasks(rng.integers(0, 6, size), bits),
        "cell": CellMasks(rng.random((n, 3, 4), np.float32), size),
        "bits": CellMasks(rng.random((n, 3, 5)) < 0.5, size),
        "rank": RankMasks(
            rng.permutation(pixels).reshape(size),
            np.concatenate([[0, pixels], rng.integers(0, pixels, n - 2)]),
        ),
        "map": MapMasks(rng.random((n, 3, 4), np.float32), size),
        "array": ArrayMasks(rng.random((n, *size), np.float32)),
    }


# The names of those that can be sent to a device as codes.
CODED_FAMILIES = [name for name, masks in make_families().items() if isinstance(masks, CodedMasks)]


def compose_plainly(
    parts: list[tuple[Any, Any, Masks, int, int]], convention: dict[str, Any]
) -> Any:
    """x * (1 - m) + f * m in pixels, then the model's preprocessing, in float64.

    A part is an image, its fill, masks, and the first and last of them that are composed.
    """
    images = []
    for image, fill, masks, start, stop in parts:
        m = masks.render(start, stop)[..., None].astype(np.float64)
        images.append(image * (1 - m) + fill * m)
    whole = np.concatenate(images)
    return models.encode(whole, **{**convention, "dtype": "float64"})
