"""From the values of a map to colours, and to a photo under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import GREY, Heatmap, Image
from onnxplain.image import gaussian_blur, list_colours
from onnxplain.plot.text import Picture

Colormap: TypeAlias = Literal["inferno", "viridis", "magma", "cividis", "turbo", "blue-red"]

HALF = 128  # colours on either side of 0

# Blue below 0 and red above, equally dark at equal distances.
_BLUE_RED = np.array(
    [
        (0.08, 0.25, 0.62),
        (0.42, 0.62, 0.9),
        (0.96, 0.96, 0.96),
        (0.93, 0.5, 0.4),
        (0.66, 0.06, 0.12),
    ]
)


@dataclass(frozen=True)
class Scale:
    """Which value of a map has which colour.

    Parameters
    ----------
    low, high : float
        Values of the first and the last colour.
    colormap : Colormap
        The name of the colours. ``blue-red`` is white in the middle.
    """

    low: float
    high: float
    colormap: Colormap

    def colour(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the colour (..., 3) in [0, 1] of each value; beyond the ends, that of the end."""
        span = self.high - self.low
        level = (values - self.low) / span if span > 0 else np.zeros_like(values)
        table = _list_table(self.colormap)
        colours: NDArray[np.float32] = table[np.rint(np.clip(level, 0, 1) * 255).astype(np.intp)]
        return colours


def write_colours(colormap: Colormap) -> str:
    """Write 256 colours, from low to high, as hexadecimal digits, for scripts of pages."""
    colours = Scale(0, 1, colormap).colour(np.linspace(0, 1, 256))
    return np.rint(colours * 255).astype(np.uint8).tobytes().hex()


def choose_scale(
    values: NDArray[np.floating], signed: bool | None = None, colormap: Colormap | None = None
) -> Scale:
    """Choose the colours of a map: from its smallest value to its largest, or even around 0.

    Parameters
    ----------
    values : ndarray
        The values that are seen.
    signed : bool, optional
        Whether 0 is in the middle of the colours; if not given, whether any value is so far below
        0 that its colour could then be told from that of 0.
    colormap : Colormap, optional
        If not given, ``blue-red`` for signed maps and ``inferno`` for others.
    """
    low, high = float(values.min()), float(values.max())
    if signed is None:
        # Rounding leaves values just below 0 in maps that have no sign.
        signed = low < 0 and -low * HALF >= high
    if signed:
        high = max(abs(low), abs(high))
        low = -high
    return Scale(low, high, colormap or ("blue-red" if signed else "inferno"))


def blend(photo: NDArray[np.float32], colours: NDArray[np.float32], alpha: float) -> Image:
    """Put colours over the details of a photo, so that a colour means the same everywhere.

    An even area of the photo shows as mid-grey whether it is black or white; what is seen of the
    photo is how it differs from its surroundings. So each colour is that of `tint`, but for
    edges and texture.

    Parameters
    ----------
    photo : (H, W) ndarray of float32 in [0, 1]
        The photo in grey.
    colours : (H, W, 3) ndarray of float32 in [0, 1]
        The colours of the map.
    alpha : float in [0, 1]
        How much the colours cover the photo; at 1 nothing of the photo is seen.

    Returns
    -------
    blended : (H, W, 3) ndarray of float32 in [0, 1]
    """
    detail = photo - gaussian_blur(photo, max(max(photo.shape) / 24, 0.5))
    shade = np.clip(detail, -0.35, 0.35) * np.float32(1.3 * (1 - alpha))
    blended: Image = np.clip(tint(colours, alpha) + shade[..., None], 0, 1)
    return blended


def tint(colours: NDArray[np.float32], alpha: float) -> NDArray[np.float32]:
    """Return how colours look over an even area of the photo: mixed with mid-grey."""
    mixed: NDArray[np.float32] = colours * np.float32(alpha) + np.float32(0.5 * (1 - alpha))
    return mixed


def convert_to_grey(image: Image | Picture) -> NDArray[np.float32]:
    """Return the brightness (H, W) in [0, 1] of a photo of floats or bytes."""
    return to_floats(image) @ GREY


def to_floats(image: Image | Picture) -> Image:
    """Return a photo of floats or bytes as floats in [0, 1]."""
    return image.astype(np.float32) / np.float32(255 if image.dtype == np.uint8 else 1)


def to_bytes(picture: NDArray[np.floating]) -> Picture:
    """Return a picture in [0, 1] as bytes."""
    pixels: Picture = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return pixels


def check_map(heatmap: Heatmap) -> None:
    """Raise if an array is not a map, or holds NaN or infinite values."""
    if heatmap.ndim != 2 or not heatmap.size:
        raise ValueError(f"a heatmap has rows and columns, got shape {heatmap.shape}")
    if not np.isfinite(heatmap).all():
        raise ValueError("the heatmap has NaN or infinite values, which have no colour")


def _list_table(colormap: Colormap) -> NDArray[np.float32]:
    """Return the 256 colours of a name."""
    if colormap != "blue-red":
        return list_colours(colormap)
    levels, anchors = np.linspace(0, 1, 256), np.linspace(0, 1, len(_BLUE_RED))
    channels = [np.interp(levels, anchors, _BLUE_RED[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)
