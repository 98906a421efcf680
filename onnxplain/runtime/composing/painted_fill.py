"""A fill that an inpainter paints on the classifier's device, for one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from onnxplain.core.data import Image, Images, Mask
from onnxplain.fills.inpaint import HOLE
from onnxplain.runtime.composing.pieces import DevicePlanes
from onnxplain.runtime.inpainters.device_painting import DevicePainting
from onnxplain.runtime.tensors import DevicePlace, join_places


@final
class PaintedFill:
    """A `JoinedFill`: its pictures are painted on the device, and composed there.

    Parameters
    ----------
    painting : DevicePainting
        The inpainter at work.
    image : (H, W, 3) ndarray of float32
        The image.
    base : DevicePlace
        The image on the device, in the model's space.
    """

    def __init__(self, painting: DevicePainting, image: Image, base: DevicePlace) -> None:
        self._painting = painting
        self._image = painting.upload(image)
        self._untouched = DevicePlanes(base, self._image.whole, is_painted=True)

    def paint(self, masks: Mask) -> list[DevicePlanes]:
        """Paint the holes of every mask (N, H, W); pictures of one call share their memory."""
        holes = masks >= HOLE
        with_hole = np.flatnonzero(holes.any(axis=(1, 2)))
        painted = [self._untouched] * len(masks)
        if len(with_hole):
            pictures = self._painting.paint(self._image, holes[with_hole])
            for row, i in enumerate(with_hole):
                painted[i] = self._untouched._replace(fill=pictures.cut(row, row + 1))
        return painted

    def fetch(self, painted: Sequence[DevicePlanes]) -> Images:
        """Bring pictures (N, H, W, 3) to the host: neighbours in memory at once."""
        places = join_places([planes.fill for planes in painted])
        return np.concatenate([self._painting.fetch(place) for place in places])
