"""How a photo is brought to a classifier's size, and how maps and boxes are brought back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Box, Fit, Heatmap, Image, Interpolation, Size
from onnxplain.image.resample import resample_box


@dataclass(frozen=True, slots=True)
class Frame:
    """The window of a photo that fills a classifier's input.

    Pixels, boxes and maps all use the same window, so they stay aligned.

    Parameters
    ----------
    original : (rows, columns)
        Size of the photo.
    size : (rows, columns)
        Size of the classifier's input.
    window : Box
        The part of the photo that fills the input, in pixels and fractions; where it reaches
        past the photo, the input has black borders.
    """

    original: Size
    size: Size
    window: Box

    def bring(self, image: Image, interpolation: Interpolation = "bilinear") -> Image:
        """Bring the photo to the classifier's size, antialiased where it shrinks.

        Parameters
        ----------
        image : (H, W, 3) ndarray of float32 in [0, 1]
            A photo of the size `original`.
        interpolation : {'bilinear', 'bicubic', 'nearest', 'area'}
            How pixels are resampled.

        Returns
        -------
        image : ndarray of float32 in [0, 1]
            Of size `size`; borders are black.

        Raises
        ------
        ValueError
            If the photo has another size.
        """
        if image.shape[:2] != self.original:
            raise ValueError(f"Frame: takes a photo of {self.original}, got {image.shape[:2]}")
        seen = self.box_back(Box(0, 0, *self.size))
        place = self.box(seen)
        top, left, bottom, right = map(round, (place.top, place.left, place.bottom, place.right))
        part = resample_box(image, seen, (bottom - top, right - left), interpolation)
        brought = np.zeros((*self.size, 3), np.float32)
        brought[top:bottom, left:right] = np.clip(part, 0, 1)  # bicubic overshoots
        return brought

    def bring_map(
        self, heatmap: NDArray[np.floating], interpolation: Interpolation = "bilinear"
    ) -> NDArray[np.float64]:
        """Bring a map of the photo to the classifier's size, as the photo itself is brought.

        Parameters
        ----------
        heatmap : (rows, columns) ndarray
            Of the size `original`, of any range.
        interpolation : {'bilinear', 'bicubic', 'nearest', 'area'}
            How the photo's pixels are resampled.

        Returns
        -------
        brought : (H, W) ndarray of float64
            Borders beside the photo have the lowest value of the part that is seen: they hold
            no evidence.

        Raises
        ------
        ValueError
            If the map has another size.
        """
        if heatmap.shape != self.original:
            raise ValueError(f"Frame: made for a photo of {self.original}, got {heatmap.shape}")
        # Small parts of large values are kept: float32 takes the map scaled to [0, 1].
        low, high = float(heatmap.min()), float(heatmap.max())
        span = (high - low) or 1.0
        scaled = ((heatmap - low) / span).astype(np.float32)
        seen = self.box_back(Box(0, 0, *self.size))
        place = self.box(seen)
        top, left, bottom, right = map(round, (place.top, place.left, place.bottom, place.right))
        part = resample_box(scaled, seen, (bottom - top, right - left), interpolation)
        brought = np.full(self.size, part.min(), np.float64)
        brought[top:bottom, left:right] = part
        wide: NDArray[np.float64] = brought * span + low
        return wide

    def back(self, heatmap: Heatmap) -> Heatmap:
        """Bring a map from the classifier's size back to the photo's size.

        Each pixel of the photo takes the bilinear value of the map at its centre, averaged
        over the pixel where the map shrinks. Pixels outside the window, which the classifier
        did not see, get 0.

        Raises
        ------
        ValueError
            If the map does not have the classifier's size.
        """
        if heatmap.shape != self.size:
            raise ValueError(f"Frame: takes maps of {self.size}, got {heatmap.shape}")
        window = self.window
        rows = _weigh_pixels(self.original[0], self.size[0], window.top, window.bottom)
        columns = _weigh_pixels(self.original[1], self.size[1], window.left, window.right)
        return rows @ heatmap.astype(np.float32, copy=False) @ columns.T

    def box(self, box: Box) -> Box:
        """Bring a box of the photo to pixels of the classifier's input, clipped to it.

        A box outside the window loses its area and ends up on the border.
        """
        window = self.window
        rows, columns = self.size
        y, x = rows / (window.bottom - window.top), columns / (window.right - window.left)
        return _clip(
            Box(
                (box.top - window.top) * y,
                (box.left - window.left) * x,
                (box.bottom - window.top) * y,
                (box.right - window.left) * x,
            ),
            self.size,
        )

    def box_back(self, box: Box) -> Box:
        """Bring a box of the classifier's input back to pixels of the photo, clipped to it."""
        window = self.window
        rows, columns = self.size
        y, x = (window.bottom - window.top) / rows, (window.right - window.left) / columns
        return _clip(
            Box(
                window.top + box.top * y,
                window.left + box.left * x,
                window.top + box.bottom * y,
                window.left + box.right * x,
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
        ``'crop'``: the largest centred rectangle of the input's aspect ratio, its sides
        multiplied by `crop`, which is a resize and a centre crop in one step; ``'stretch'``:
        the whole photo, without keeping its aspect ratio; ``'pad'``: the whole photo, its
        aspect ratio kept to the nearest pixel, with black borders on two sides.
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
        sides = (
            _centre_axis(original[0], size[0] * scale),
            _centre_axis(original[1], size[1] * scale),
        )
    else:
        scale = max(original[0] / size[0], original[1] / size[1])
        sides = _pad_axis(original[0], size[0], scale), _pad_axis(original[1], size[1], scale)
    (top, bottom), (left, right) = sides
    return Frame(original, size, Box(top, left, bottom, right))


def _centre_axis(length: int, kept: float) -> tuple[float, float]:
    """Return where the middle `kept` pixels of `length` begin and end."""
    start = max((length - kept) / 2, 0.0)
    return start, length - start


def _pad_axis(length: int, room: int, scale: float) -> tuple[float, float]:
    """Return where a window that fills `room` pixels, borders included, begins and ends.

    The photo's own `length` fills a whole number of these pixels.
    """
    kept = max(round(length / scale), 1)
    before = (room - kept) // 2
    return -before * length / kept, (room - before) * length / kept


def _clip(box: Box, size: Size) -> Box:
    """Return the part of a box inside a picture."""
    rows, columns = map(float, size)
    return Box(
        min(max(box.top, 0.0), rows),
        min(max(box.left, 0.0), columns),
        min(max(box.bottom, 0.0), rows),
        min(max(box.right, 0.0), columns),
    )


def _weigh_pixels(n_out: int, n_in: int, start: float, stop: float) -> NDArray[np.float32]:
    """Weigh `n_in` values, spread evenly from `start` to `stop`, for each of `n_out` pixels.

    The weights are the triangle of bilinear interpolation, widened where values outnumber
    pixels. Each row sums to 1, or is 0 for a pixel whose centre lies outside.
    """
    scale = n_in / (stop - start)
    centre = (np.arange(n_out) + 0.5 - start) * scale
    distance = np.abs(centre[:, None] - (np.arange(n_in) + 0.5))
    weights = np.maximum(1 - distance / max(scale, 1.0), 0)
    weights *= ((centre >= 0) & (centre < n_in))[:, None]
    total = weights.sum(axis=1, keepdims=True)
    normalised: NDArray[np.float32] = (weights / np.where(total > 0, total, 1)).astype(np.float32)
    return normalised
