"""How a photo comes to a classifier's size, and how maps and boxes find their way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Box, Fit, Heatmap, Image, Interpolation, Size
from onnxplain.image.resample import resample_box


@dataclass(frozen=True, slots=True)
class Frame:
    """The window of a photo that fills a classifier's input.

    Pixels, boxes and maps all go by this one window, so they stay together.

    Parameters
    ----------
    original : (rows, columns)
        Size of the photo.
    size : (rows, columns)
        Size of the classifier's input.
    window : Box
        What fills the input, in pixels of the photo with fractions; where it reaches past
        the photo, the input has black borders.
    """

    original: Size
    size: Size
    window: Box

    def bring(self, image: Image, interpolation: Interpolation = "bilinear") -> Image:
        """The photo at the classifier's size, antialiased where it shrinks.

        Parameters
        ----------
        image : (H, W, 3) ndarray of float32 in [0, 1]
            A photo of the size `original`.
        interpolation : {'bilinear', 'bicubic', 'nearest', 'area'}
            How pixels are resampled.

        Returns
        -------
        image : ndarray of float32 in [0, 1]
            Of the size `size`; borders are black.

        Raises
        ------
        ValueError
            If the photo is of another size.
        """
        if image.shape[:2] != self.original:
            raise ValueError(f"Frame: made for a photo of {self.original}, got {image.shape[:2]}")
        seen = self.box_back(Box(0, 0, *self.size))
        place = self.box(seen)
        top, left, bottom, right = map(round, (place.top, place.left, place.bottom, place.right))
        part = resample_box(image, seen, (bottom - top, right - left), interpolation)
        out = np.zeros((*self.size, 3), np.float32)
        out[top:bottom, left:right] = np.clip(part, 0, 1)  # bicubic overshoots
        return out

    def back(self, heatmap: Heatmap) -> Heatmap:
        """A map at the classifier's size, at the photo's size.

        Each pixel of the photo takes the bilinear value of the map at its centre, averaged
        over the pixel where the map shrinks. Pixels outside the window were not seen by the
        classifier and get 0.
        """
        if heatmap.shape != self.size:
            raise ValueError(f"Frame: takes maps of {self.size}, got {heatmap.shape}")
        w = self.window
        rows = _weights(self.original[0], self.size[0], w.top, w.bottom)
        columns = _weights(self.original[1], self.size[1], w.left, w.right)
        return rows @ heatmap.astype(np.float32, copy=False) @ columns.T

    def box(self, box: Box) -> Box:
        """A box of the photo in pixels of the classifier's input, clipped to it.

        A box outside the window becomes one without area, on the border.
        """
        w = self.window
        rows, columns = self.size
        y, x = rows / (w.bottom - w.top), columns / (w.right - w.left)
        return _clip(
            Box(
                (box.top - w.top) * y,
                (box.left - w.left) * x,
                (box.bottom - w.top) * y,
                (box.right - w.left) * x,
            ),
            self.size,
        )

    def box_back(self, box: Box) -> Box:
        """A box of the classifier's input in pixels of the photo, clipped to it."""
        w = self.window
        rows, columns = self.size
        y, x = (w.bottom - w.top) / rows, (w.right - w.left) / columns
        return _clip(
            Box(
                w.top + box.top * y,
                w.left + box.left * x,
                w.top + box.bottom * y,
                w.left + box.right * x,
            ),
            self.original,
        )


def place_frame(original: Size, size: Size, fit: Fit = "crop", crop: float = 1.0) -> Frame:
    """Choose the window of a photo.

    Parameters
    ----------
    original : (rows, columns)
        Size of the photo.
    size : (rows, columns)
        Size of the classifier's input.
    fit : {'crop', 'stretch', 'pad'}
        ``'crop'``: the largest centred rectangle of the input's aspect, its sides times
        `crop`, which is a resize and a centre crop in one step; ``'stretch'``: the whole
        photo, its aspect not kept; ``'pad'``: the whole photo, its aspect kept to the nearest
        pixel, with black borders on two sides.
    crop : float in (0, 1]
        For ``'crop'``; 224/256 = 0.875 is the usual value.

    Examples
    --------
    >>> place_frame((400, 600), (224, 224), crop=0.875).window
    Box(top=25.0, left=125.0, bottom=375.0, right=475.0)
    >>> place_frame((300, 600), (224, 224), "pad").box(Box(0, 0, 300, 600))
    Box(top=56.0, left=0.0, bottom=168.0, right=224.0)
    """
    if not 0 < crop <= 1:
        raise ValueError(f"crop must be > 0 and <= 1, got {crop!r}")
    sides: tuple[tuple[float, float], tuple[float, float]]
    if fit == "stretch":
        sides = (0.0, float(original[0])), (0.0, float(original[1]))
    elif fit == "crop":
        scale = crop * min(original[0] / size[0], original[1] / size[1])
        sides = _centred(original[0], size[0] * scale), _centred(original[1], size[1] * scale)
    else:
        scale = max(original[0] / size[0], original[1] / size[1])
        sides = _padded(original[0], size[0], scale), _padded(original[1], size[1], scale)
    (top, bottom), (left, right) = sides
    return Frame(original, size, Box(top, left, bottom, right))


def _centred(length: int, kept: float) -> tuple[float, float]:
    """The middle `kept` pixels of `length`."""
    start = max((length - kept) / 2, 0.0)
    return start, length - start


def _padded(length: int, room: int, scale: float) -> tuple[float, float]:
    """The stretch of a photo's axis that fills `room` pixels, `length` becoming whole pixels."""
    kept = max(round(length / scale), 1)
    before = (room - kept) // 2
    return -before * length / kept, (room - before) * length / kept


def _clip(box: Box, size: Size) -> Box:
    """The part of a box inside a picture."""
    rows, columns = map(float, size)
    return Box(
        min(max(box.top, 0.0), rows),
        min(max(box.left, 0.0), columns),
        min(max(box.bottom, 0.0), rows),
        min(max(box.right, 0.0), columns),
    )


def _weights(n_out: int, n_in: int, start: float, stop: float) -> NDArray[np.float32]:
    """What each of `n_in` values, spread over `start` to `stop`, gives to `n_out` pixels.

    The triangle of bilinear interpolation, widened where values outnumber pixels; rows sum to
    1, and are 0 for pixels whose centres lie outside.
    """
    scale = n_in / (stop - start)
    centre = (np.arange(n_out) + 0.5 - start) * scale
    distance = np.abs(centre[:, None] - (np.arange(n_in) + 0.5))
    weights = np.maximum(1 - distance / max(scale, 1.0), 0)
    weights *= ((centre >= 0) & (centre < n_in))[:, None]
    total = weights.sum(axis=1, keepdims=True)
    normalised: NDArray[np.float32] = (weights / np.where(total > 0, total, 1)).astype(np.float32)
    return normalised
