"""A photo, masks and an inpainter for the tests of fills."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import skimage.data

from onnxplain.core.data import Image, Images, Mask
from onnxplain.image import resize


@dataclasses.dataclass
class Painter:
    """Paints every hole in one colour and its surroundings in another, in small batches."""

    colour: float = 0.25
    batch_size: int = 2
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seen: list[Mask] = dataclasses.field(default_factory=list)

    def inpaint(self, images: Images, masks: Mask) -> Images:
        self.seen.append(masks)
        shade = np.where(masks == 1, np.float32(self.colour), np.float32(0.9))
        return np.repeat(shade[..., None], 3, axis=-1)


def make_photo(rows: int = 48, columns: int = 40) -> Image:
    """Make a photo with colours and edges."""
    coffee = skimage.data.coffee()[:, :400].astype(np.float32) / 255
    return np.clip(resize(coffee, (rows, columns), antialias=True), 0, 1)


def make_masks(image: Image) -> Mask:
    """Make four masks: an empty one, two with one hole, and one with 0.6 next to 0.4."""
    masks = np.zeros((4, *image.shape[:2]), np.float32)
    masks[1, 8:18, 5:12] = 1
    masks[2, 20:26, 20:30] = 0.6
    masks[2, 26:30, 20:30] = 0.4
    masks[3, 30:34, 3:9] = 1
    return masks


def paint(fill: Any, image: Image, masks: Mask, seed: int = 0) -> Images:
    """Paint the fill's picture for every mask, whichever of the two forms it prepares."""
    prepared = fill.prepare(image, np.random.default_rng(seed))
    pictures = prepared(masks) if callable(prepared) else np.stack([prepared] * len(masks))
    assert isinstance(pictures, np.ndarray)
    return pictures
