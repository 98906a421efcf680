"""Real photos as EfficientNet-Lite takes them."""

from __future__ import annotations

import numpy as np
import PIL.Image as Pillow
import skimage.data
from numpy.typing import NDArray


def prepare_photos(size: int) -> NDArray[np.float32]:
    """Return real photos at a square size, encoded as the network takes them."""
    originals = (
        skimage.data.coffee(),
        skimage.data.chelsea(),
        skimage.data.stereo_motorcycle()[0],
        skimage.data.astronaut(),
    )
    small = [
        np.asarray(Pillow.fromarray(photo).resize((size, size), Pillow.Resampling.BILINEAR))
        for photo in originals
    ]
    pixels = np.stack(small).astype(np.float32).transpose(0, 3, 1, 2)
    return (pixels - 127) / 128
