"""Composing on the host: everything affine is folded into two planes per image and fill.

A pixel p enters a model as ``a * p + b``, with one a and b per channel, so with image x,
fill f and mask m

    a * (x * (1 - m) + f * m) + b  =  (a * x + b)  +  m * a * (f - x)
                                        base          m * delta

and a mask costs one multiplication and one addition in place, whatever the layout, the
order of channels, the range and the normalisation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, final

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


class _Buffers(threading.local):
    """The buffers of one thread."""

    inside: NDArray[np.float32] = np.empty(0, np.float32)
    ready: NDArray[Any] = np.empty(0)


@final
class HostComposer:
    """A `Composer` that renders masks and blends them in NumPy, in a buffer per thread.

    Parameters
    ----------
    space : ModelSpace
        How images enter the model.
    """

    composed_by: Literal["host"] = "host"

    def __init__(self, space: ModelSpace) -> None:
        self._space = space
        self._buffers = _Buffers()

    def planes(self, image: Image, fill: Image) -> Planes:
        """Bring an image and its fill (H, W, 3) into the model's space."""
        base, other = self._space.enter(np.stack([image, fill]))
        return Planes(base, other - base)

    def join(self, image: Image, prepared: Callable[[Mask], Images]) -> None:
        """Return None: on the host, pictures of fills are composed as any other images."""

    def compose(self, parts: Sequence[Part], width: int) -> NDArray[Any]:
        """Compose the images of all parts in order; see `Composer.compose`.

        Rows beyond the masks repeat the last image.
        """
        inside, ready = self._get_buffers(width)
        row = 0
        for part in parts:
            masks = render_masks(part.masks, part.start, part.stop)
            self._blend(part.planes, masks, inside[row : row + len(masks)])
            row += len(masks)
        return self._finish(row, inside, ready)

    def enter(self, images: Images, width: int) -> NDArray[Any]:
        """Bring images (N, H, W, 3) into the form the model takes; see `Composer.enter`.

        Rows beyond the images repeat the last one.
        """
        inside, ready = self._get_buffers(width)
        inside[: len(images)] = self._space.enter(images)
        return self._finish(len(images), inside, ready)

    def _blend(self, planes: Planes, masks: Mask, out: NDArray[np.float32]) -> None:
        """Write ``base + mask * delta`` for every mask."""
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

    def _finish(
        self, filled: int, inside: NDArray[np.float32], ready: NDArray[Any]
    ) -> NDArray[Any]:
        """Cast the rows that are filled to the model's element type, and repeat the last one."""
        if ready is not inside:
            self._space.cast(inside[:filled], ready[:filled])
        ready[filled:] = ready[filled - 1]
        return ready

    def _get_buffers(self, width: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return this thread's buffers of `width` images: float32, and of the model's type."""
        buffers = self._buffers
        if len(buffers.inside) < width:
            buffers.inside = np.empty((width, *self._space.shape), np.float32)
            buffers.ready = np.empty((width, *self._space.shape), self._space.dtype)
        inside = buffers.inside[:width]
        return inside, inside if self._space.dtype == "float32" else buffers.ready[:width]
