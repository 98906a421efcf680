"""How a photo is brought to a classifier's size, and how maps and boxes are brought back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import (
    Box,
    Bytes3,
    Centre,
    Fit,
    Heatmap,
    Image,
    Interpolation,
    Preprocessing,
    Size,
)
from onnxplain.image.resample import resample, resample_photo

# Pixels of a resized photo. A strip of 1 x 100,000 pixels has more once its short side is 256;
# then only what the classifier sees is resampled.
MAX_RESIZED = 2**24


@dataclass(frozen=True, slots=True)
class Frame:
    """How one photo fills a classifier's input: resized as a whole, then cut in whole pixels.

    Pixels, boxes and maps all take the same way, so they stay aligned.

    Parameters
    ----------
    original : (rows, columns)
        Size of the photo.
    size : (rows, columns)
        Size of the classifier's input.
    resized : (rows, columns)
        Size to which the whole photo is resized.
    start : (row, column)
        Pixel of the resized photo at which the input begins; negative where a border is.
    interpolation : {'bilinear', 'bicubic', 'nearest', 'area', 'hamming', 'lanczos'}
        How pixels are resampled.
    border : (red, green, blue), from 0 to 255
        Colour of the input's pixels beside the photo.
    """

    original: Size
    size: Size
    resized: Size
    start: tuple[int, int]
    interpolation: Interpolation = "bilinear"
    border: Bytes3 = (0, 0, 0)

    @property
    def window(self) -> Box:
        """The part of the photo that fills the input, in pixels of the photo and fractions.

        Where it reaches past the photo, the input has borders.
        """
        y, x = (n / m for n, m in zip(self.original, self.resized, strict=True))
        (top, left), (rows, columns) = self.start, self.size
        return Box(top * y, left * x, (top + rows) * y, (left + columns) * x)

    def bring(self, image: Image) -> Image:
        """Bring the photo to the classifier's size, antialiased where it shrinks.

        A photo of 8 bits is resized in 8 bits, as Pillow does it.

        Parameters
        ----------
        image : (H, W, 3) ndarray of float32 in [0, 1]
            A photo of the size `original`.

        Returns
        -------
        image : ndarray of float32 in [0, 1]
            Of size `size`.

        Raises
        ------
        ValueError
            If the photo has another size.
        """
        if image.shape[:2] != self.original:
            raise ValueError(f"Frame: takes a photo of {self.original}, got {image.shape[:2]}")
        place, part = self._resample(image, resample_photo)
        brought = np.empty((*self.size, 3), np.float32)
        brought[...] = np.array(self.border, np.float32) / 255
        brought[place] = part
        return brought

    def bring_map(self, heatmap: NDArray[np.floating]) -> NDArray[np.float64]:
        """Bring a map of the photo to the classifier's size, as the photo itself is brought.

        Parameters
        ----------
        heatmap : (rows, columns) ndarray
            Of the size `original`, of any range.

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
        place, part = self._resample(((heatmap - low) / span).astype(np.float32), resample)
        brought = np.full(self.size, part.min(), np.float64)
        brought[place] = part
        wide: NDArray[np.float64] = brought * span + low
        return wide

    def back(self, heatmap: Heatmap) -> Heatmap:
        """Bring a map from the classifier's size back to the photo's size; see `bring_back`.

        Raises
        ------
        ValueError
            If the map does not have the classifier's size.
        """
        if heatmap.shape != self.size:
            raise ValueError(f"Frame: takes maps of {self.size}, got {heatmap.shape}")
        return bring_back(heatmap, self.original, self.window)

    def box(self, box: Box) -> Box:
        """Bring a box of the photo to pixels of the classifier's input, clipped to both.

        A box outside the photo or the window loses its area and ends up on the border.
        """
        window, box = self.window, _clip(box, self.original)
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

    def _resample(
        self, array: NDArray[np.floating], resample: Callable[..., NDArray[np.float32]]
    ) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """Resample what is seen of a picture; return its place in the input, and its pixels."""
        rows, columns = (
            _overlap(*axis) for axis in zip(self.start, self.size, self.resized, strict=True)
        )
        place = tuple(
            slice(part.start - start, part.stop - start)
            for part, start in zip((rows, columns), self.start, strict=True)
        )
        if self.resized[0] * self.resized[1] <= MAX_RESIZED:
            part = resample(array, self.resized, self.interpolation)[rows, columns]
        else:  # Pillow's edges are in float32, so that a grey level may be another
            seen = self.box_back(Box(0, 0, *self.size))
            size = rows.stop - rows.start, columns.stop - columns.start
            part = resample(array, size, self.interpolation, seen)
        return (place[0], place[1]), part


def place_frame(original: Size, size: Size, preprocessing: Preprocessing) -> Frame:
    """Plan how a photo is brought to a classifier's size, in whole pixels.

    Parameters
    ----------
    original : (rows, columns)
        Size of the photo.
    size : (rows, columns)
        Size of the classifier's input.
    preprocessing : Preprocessing
        What the classifier wants.

    Notes
    -----
    Sides are rounded as in torchvision's ``Resize`` and ``CenterCrop``, which Hugging Face
    repeats, and where the shape is kept otherwise, as in timm's ``ResizeKeepRatio``. What is
    reproduced is their work on Pillow images. On tensors torchvision computes the same filters
    in another arithmetic, which rounds to other grey levels here and there.

    Examples
    --------
    >>> place_frame((400, 600), (224, 224), Preprocessing("crop", (256, 256))).window
    Box(top=25.0, left=125.0, bottom=375.0, right=475.0)
    >>> place_frame((300, 600), (224, 224), Preprocessing("pad")).box(Box(0, 0, 300, 600))
    Box(top=56.0, left=0.0, bottom=168.0, right=224.0)
    """
    wanted = preprocessing.resize or size
    resized = _choose_resized(original, wanted, preprocessing.fit)
    start = tuple(
        _centre_axis(length, kept, preprocessing.centre)
        for length, kept in zip(resized, size, strict=True)
    )
    return Frame(
        original,
        size,
        resized,
        (start[0], start[1]),
        preprocessing.interpolation,
        preprocessing.border,
    )


def scale_box(box: Box, y: float, x: float) -> Box:
    """Return a box of a picture whose rows became `y` times as many, and its columns `x` times.

    >>> scale_box(Box(1, 2, 3, 4), 10, 100)
    Box(top=10, left=200, bottom=30, right=400)
    """
    return Box(box.top * y, box.left * x, box.bottom * y, box.right * x)


def is_same_part(first: Box, second: Box, pixels: Size) -> bool:
    """Return whether two windows of a photo are the same, up to a pixel of a map of them.

    Parameters
    ----------
    first, second : Box
        In shares of the rows and columns of the photo.
    pixels : (rows, columns)
        Size of the map.

    Examples
    --------
    >>> is_same_part(Box(0, 0.25, 1, 0.75), Box(0, 0.26, 1, 0.76), (40, 40))
    True
    >>> is_same_part(Box(0, 0.25, 1, 0.75), Box(0, 0, 1, 1), (40, 40))
    False
    """
    y, x = (second.bottom - second.top) / pixels[0], (second.right - second.left) / pixels[1]
    rows = max(abs(first.top - second.top), abs(first.bottom - second.bottom))
    columns = max(abs(first.left - second.left), abs(first.right - second.right))
    return rows <= y and columns <= x


def bring_back(heatmap: Heatmap, original: Size, window: Box) -> Heatmap:
    """Bring a map of a window of a photo to the photo's size.

    Each pixel of the photo takes the bilinear value of the map at its centre, averaged over
    the pixel where the map shrinks. Pixels outside the window, which the classifier did not
    see, get 0.
    """
    rows = _weigh_pixels(original[0], heatmap.shape[0], window.top, window.bottom)
    columns = _weigh_pixels(original[1], heatmap.shape[1], window.left, window.right)
    return rows @ heatmap.astype(np.float32, copy=False) @ columns.T


def _choose_resized(original: Size, wanted: Size, fit: Fit) -> Size:
    """Return the size to which a photo is resized."""
    if fit == "keep":
        return original
    if fit == "stretch":
        return wanted
    if fit == "crop" and wanted[0] == wanted[1]:  # torchvision: the longer side is cut off
        edge, short = wanted[0], min(original)
        rows, columns = (edge if n == short else int(edge * n / short) for n in original)
    else:  # timm: both sides are rounded
        choose = min if fit == "crop" else max
        scale = choose(original[0] / wanted[0], original[1] / wanted[1])
        rows, columns = (max(round(n / scale), 1) for n in original)
    return rows, columns


def _centre_axis(length: int, kept: int, centre: Centre) -> int:
    """Return where the middle `kept` pixels of `length` begin; negative if there are fewer."""
    if centre == "floor":
        return (length - kept) // 2
    # Python rounds halves to even, torchvision too; but it puts the odd pixel of borders last.
    return round((length - kept) / 2) if kept < length else math.ceil((length - kept) / 2)


def _overlap(start: int, room: int, length: int) -> slice:
    """Return the pixels of a resized photo's side that an input of `room` pixels shows."""
    return slice(max(start, 0), min(start + room, length))


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
