"""All families of masks, rendered a slice at a time; 1 removes a pixel, 0 keeps it.

A family needs a few numbers per mask: the corner of a patch, the cells of a grid, one bit
per segment, a count of pixels. A slice is rendered where it is used, and a family that has
`codes` sends these numbers to a GPU instead of masks. Every family is a frozen value and
knows nothing of images or models.
"""

from __future__ import annotations

from onnxplain.core.data import Mask
from onnxplain.core.protocols import Masks
from onnxplain.masks.grids import CellMasks, GridMasks, SmoothCellMasks
from onnxplain.masks.maps import MapMasks
from onnxplain.masks.patches import PatchMasks, list_corners, place_patches, prepend_empty_mask
from onnxplain.masks.pixels import ArrayMasks, RankMasks, SegmentMasks, UnionMasks

__all__ = [
    "ArrayMasks",
    "CellMasks",
    "GridMasks",
    "MapMasks",
    "PatchMasks",
    "RankMasks",
    "SegmentMasks",
    "SmoothCellMasks",
    "UnionMasks",
    "list_corners",
    "place_patches",
    "prepend_empty_mask",
    "render_masks",
]


def render_masks(masks: Masks, start: int, stop: int) -> Mask:
    """Render the masks from `start` to `stop` of a family that may come from another package.

    Raises
    ------
    ValueError
        If it renders another number of masks, or masks of another size.
    """
    rendered = masks.render(start, stop)
    if rendered.shape != (stop - start, *masks.size):
        raise ValueError(
            f"{type(masks).__name__}: render({start}, {stop}) must return masks of shape "
            f"{(stop - start, *masks.size)}, got {rendered.shape}"
        )
    return rendered
