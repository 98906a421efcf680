"""Composing on the host: everything affine is folded into two planes an image and fill.

A pixel enters a model as ``a * p + b``, one a and b a channel, so with image x, fill f and
mask m

    a * (x * (1 - m) + f * m) + b  =  (a * x + b)  +  m * a * (f - x)
                                        base          m * delta

and a mask costs one multiplication and one addition in place, whatever the layout, the
order of channels, the range and the normalisation.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Mask
from onnxplain.core.protocols import Part
from onnxplain.masks.families import render_masks
from onnxplain.runtime.composing.space import ModelSpace


class Planes(NamedTuple):
    """An image and its fill in the model's space; each (C, H, W) or (H, W, C) float32."""

    base: NDArray[np.float32]  # the image
    delta: NDArray[np.float32]  # the fill less the image


class _Held(threading.local):
    """One thread's buffers."""

    inside: NDArray[np.float32] = np.empty(0, np.float32)
    ready: NDArray[Any] = np.empty(0)


@final
class HostComposer:
    """Renders and composes masks into a buffer that each thread reuses."""

    def __init__(self, space: ModelSpace) -> None:
        self._space = space
        self._held = _Held()

    def planes(self, image: Image, fill: Image) -> Planes:
        """Bring an image and its fill (H, W, 3) into the model's space."""
        base, other = self._space.enter(np.stack([image, fill]))
        return Planes(base, other - base)

    def compose(self, parts: Sequence[Part]) -> NDArray[Any]:
        """The composed images of all parts in order, as the model takes them.

        The array is valid until the thread composes again.
        """
        inside, ready = self._buffers(sum(part.stop - part.start for part in parts))
        row = 0
        for part in parts:
            masks = render_masks(part.masks, part.start, part.stop)
            self._blend(part.planes, masks, inside[row : row + len(masks)])
            row += len(masks)
        return self._cast(inside, ready)

    def enter(self, images: Images) -> NDArray[Any]:
        """Images (N, H, W, 3) as the model takes them; valid like what `compose` returns."""
        inside, ready = self._buffers(len(images))
        inside[:] = self._space.enter(images)
        return self._cast(inside, ready)

    def _blend(self, planes: Planes, masks: Mask, out: NDArray[np.float32]) -> None:
        # One mask after the other, so that an image is still in the cache when base is added.
        channels_last = self._space.layout == "nhwc"
        for mask, image in zip(masks, out, strict=True):
            if channels_last:
                # A product that repeats the mask at each pixel would take twice as long.
                for channel in range(image.shape[-1]):
                    image[..., channel] = mask
                image *= planes.delta
            else:
                np.multiply(planes.delta, mask, out=image)
            image += planes.base

    def _cast(self, inside: NDArray[np.float32], ready: NDArray[Any]) -> NDArray[Any]:
        if ready is not inside:
            self._space.cast(inside, ready)
        return ready

    def _buffers(self, n: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Buffers of the calling thread for n images: float32, and in the model's element type."""
        held = self._held
        if len(held.inside) < n:
            held.inside = np.empty((n, *self._space.shape), np.float32)
            held.ready = np.empty((n, *self._space.shape), self._space.dtype)
        inside = held.inside[:n]
        return inside, inside if self._space.dtype == "float32" else held.ready[:n]
