"""The photo, its map, and both together: the pictures that figures and sheets are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageDraw
from numpy.typing import NDArray

from onnxplain.core.data import Box, Heatmap, Image, Size
from onnxplain.image import bring_back, resize, scale_box, trace_contours
from onnxplain.plot.colours import Scale, blend, convert_to_grey, to_bytes, to_floats
from onnxplain.plot.text import Colour, Picture

Kind: TypeAlias = Literal["photo", "map", "overlay", "contour"]

# Share of the pixels that a line encloses, and its colour.
CONTOURS: dict[float, Colour] = {0.05: (214, 39, 40), 0.15: (255, 127, 14), 0.30: (255, 221, 87)}


@dataclass(frozen=True, eq=False)
class Parts:
    """The photo (H, W, 3), the map (H, W) and where it was seen, at the size drawn."""

    photo: Image
    values: Heatmap
    seen: NDArray[np.bool_]
    scale: Scale
    alpha: float

    def draw(self, kind: Kind) -> Picture:
        """Draw one of the pictures."""
        if kind == "photo":
            return to_bytes(self._fade(self.photo))
        if kind == "contour":
            return self._draw_contours()
        colours = self.scale.colour(self.values)
        if kind == "overlay":
            colours = blend(convert_to_grey(self.photo), colours, self.alpha)
        return to_bytes(np.where(self.seen[..., None], colours, self._fade(self.photo)))

    def _fade(self, picture: Image) -> Image:
        """Fade what the classifier did not see."""
        faded: Image = np.where(self.seen[..., None], picture, np.float32(0.7) + 0.3 * picture)
        return faded

    def _draw_contours(self) -> Picture:
        """Draw lines around the highest values, on the photo in faint colours."""
        canvas = PIL.Image.fromarray(to_bytes(self._fade(0.15 + 0.85 * self.photo)))
        draw = PIL.ImageDraw.Draw(canvas)
        thickness = max(round(max(self.values.shape) / 160), 2)
        shown = get_seen(self.values, self.seen)
        values = np.where(self.seen, self.values, shown.min())
        for share, colour in sorted(CONTOURS.items(), reverse=True):
            level = float(np.quantile(shown, 1 - share))
            for line in trace_contours(values, level):
                draw.line([(x, y) for y, x in line], (255, 255, 255), thickness + 2, "curve")
                draw.line([(x, y) for y, x in line], colour, thickness, "curve")
        return np.asarray(canvas)


def bring_parts(
    photo: Image | Picture | None,
    heatmap: Heatmap,
    window: Box | None,
    original: Size,
    side: int,
) -> tuple[Image, Heatmap, NDArray[np.bool_]]:
    """Bring a photo and the map of a window of it to the size drawn, without a map in between.

    Parameters
    ----------
    photo : (rows, columns, 3) ndarray of uint8 or of float32 in [0, 1], optional
        At any size; mid-grey if not given.
    heatmap : (H, W) ndarray of float32
        Of the window, at the classifier's size.
    window : Box, optional
        In pixels of the photo at its `original` size; all of it if not given.
    original : (rows, columns)
        Size of the photo.
    side : int
        Pixels of the longer side.

    Returns
    -------
    photo, values, seen : ndarray
        (rows, columns, 3) in [0, 1], (rows, columns), and where the classifier saw the photo.
    """
    drawn = fit(original, side)
    y, x = (new / old for new, old in zip(drawn, original, strict=True))
    small = scale_box(window or Box(0, 0, *original), y, x)
    plain = np.full((*drawn, 3), 0.5, np.float32)
    return (
        plain if photo is None else resize_plane(to_floats(photo), drawn),
        bring_back(heatmap, drawn, small),
        mark_window(drawn, small),
    )


def draw_photo(photo: Image, side: int) -> Picture:
    """Draw a photo alone, `side` pixels on its longer side."""
    return to_bytes(resize_plane(photo, fit(photo.shape[:2], side)))


def fit(size: tuple[int, ...], side: int) -> Size:
    """Return the rows and columns of a picture whose longer side has `side` pixels."""
    factor = side / max(size)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def mark_window(size: tuple[int, ...], window: Box | None) -> NDArray[np.bool_]:
    """Mark the pixels of a photo whose centres lie in the window."""
    if window is None:
        return np.ones(size, bool)
    y, x = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    inside: NDArray[np.bool_] = np.logical_and.outer(
        (y > window.top) & (y < window.bottom), (x > window.left) & (x < window.right)
    )
    return inside


def get_seen(values: Heatmap, seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the values that the classifier saw; all, if not one pixel's centre was seen."""
    return values[seen] if seen.any() else values.ravel()


def resize_plane(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize a photo or a map, if it has another size."""
    return plane if plane.shape[:2] == size else resize(plane, size, antialias=True)
