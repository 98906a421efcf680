"""How images enter a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import GREY, Images, Size
from onnxplain.core.spec import ChannelOrder, DType, Layout, ModelSpec


@final
@dataclass(frozen=True, slots=True)
class ModelSpace:
    """How images enter a model: pixel p in [0, 1] of a channel becomes ``p * gain + bias``.

    Parameters
    ----------
    size : (rows, columns)
        Size of the images.
    layout, colour, dtype
        As in `ModelSpec`.
    gain, bias : tuple of float
        One value per channel, in the model's order.
    """

    size: Size
    layout: Layout = "nhwc"
    colour: ChannelOrder = "rgb"
    dtype: DType = "float32"
    gain: tuple[float, ...] = (1.0, 1.0, 1.0)
    bias: tuple[float, ...] = (0.0, 0.0, 0.0)

    @classmethod
    def of(cls, spec: ModelSpec) -> ModelSpace:
        """Make the space that a specification describes."""
        low, high = spec.range
        gain = tuple((high - low) / std for std in spec.std)
        bias = tuple((low - mean) / std for mean, std in zip(spec.mean, spec.std, strict=True))
        return cls(spec.size, spec.layout, spec.colour, spec.dtype, gain, bias)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image in the model's layout."""
        rows, columns = self.size
        channels = len(self.gain)
        nchw = self.layout == "nchw"
        return (channels, rows, columns) if nchw else (rows, columns, channels)

    @property
    def _channel_axis(self) -> int:
        return 1 if self.layout == "nchw" else 3

    def enter(self, images: Images) -> NDArray[np.float32]:
        """Bring images (N, H, W, 3) into the space, before the cast to its element type."""
        if self.colour == "grey":
            channels = (images @ GREY)[..., None]
        else:
            channels = images[..., ::-1] if self.colour == "bgr" else images
        if self.layout == "nchw":
            channels = channels.transpose(0, 3, 1, 2)
        inside = np.array(channels, np.float32, order="C")
        # Channel by channel: a product over a last axis of three takes ten times as long.
        planes = np.moveaxis(inside, self._channel_axis, 0)
        for plane, gain, bias in zip(planes, self.gain, self.bias, strict=True):
            plane *= np.float32(gain)
            plane += np.float32(bias)
        return inside

    def enter_as_real(self, images: Images) -> NDArray[Any]:
        """Bring images into the space as a gradient graph takes them: float32, or float64."""
        return self.enter(images).astype(np.result_type(self.dtype, np.float32), copy=False)

    def leave(self, gradients: NDArray[np.float32], power: int = 1) -> Images:
        """Turn gradients by what enters the model into gradients by the images (N, H, W, 3).

        The adjoint of `enter`. With the powers 0 and -1 of the gain, it does the same for
        relevances, which belong to a pixel in any unit, and for signals, which are in its unit.
        """
        channels = np.moveaxis(gradients, self._channel_axis, 0)
        outside = np.empty((*channels.shape[1:], len(channels)), np.float32)
        places = np.moveaxis(outside, 3, 0)
        scales = np.array(self.gain, np.float32) ** power
        for place, channel, scale in zip(
            places[::-1] if self.colour == "bgr" else places, channels, scales, strict=True
        ):
            np.multiply(channel, scale, out=place)
        return outside * GREY if self.colour == "grey" else outside

    def cast(self, inside: NDArray[np.float32], out: NDArray[Any]) -> None:
        """Write `inside` to `out` in the model's element type; `inside` is overwritten.

        Values that become integers are clipped and rounded half to even.
        """
        if self.dtype in ("uint8", "int8"):
            bounds = np.iinfo(self.dtype)
            np.clip(inside, bounds.min, bounds.max, out=inside)
            np.rint(inside, out=inside)
        np.copyto(out, inside, casting="unsafe")


def check_images(images: Images, size: Size) -> None:
    """Raise an error unless images are float32 (N, H, W, 3) of the classifier's size."""
    if images.ndim != 4 or images.shape[1:] != (*size, 3) or images.dtype != np.float32:
        raise ValueError(
            f"images must be float32 of shape (N, {size[0]}, {size[1]}, 3), "
            f"got {images.dtype} of shape {images.shape}"
        )
    if not len(images):
        raise ValueError("images must hold at least one image, got none")
