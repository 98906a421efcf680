"""One explanation as one picture: the photo, its map, and both together, with a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageDraw
from numpy.typing import NDArray

from onnxplain.core.data import Box, Heatmap, Image
from onnxplain.core.params import Param, Parametrised
from onnxplain.image import resize, trace_contours
from onnxplain.plot.colours import (
    Colormap,
    Scale,
    blend,
    check_map,
    choose_scale,
    convert_to_grey,
    to_bytes,
    to_floats,
)
from onnxplain.plot.layout import label, make_paper, place_side_by_side, stack
from onnxplain.plot.scale_bar import draw_contour_key, draw_scale_bar
from onnxplain.plot.text import FAINT, WARNING, Colour, Picture, draw_text

Style: TypeAlias = Literal["panel", "overlay", "map", "contour"]

STYLES: dict[Style, tuple[str, ...]] = {
    "panel": ("photo", "map", "overlay"),
    "overlay": ("overlay",),
    "map": ("map",),
    "contour": ("contour",),
}
LABELS = {"photo": "photo", "map": "map", "overlay": "map over the photo"}
MARGIN, GAP = 20, 14
MIN_WIDTH = 560  # of a figure, so that its text can be read beside a tall photo
# Share of the pixels that a line encloses, and its colour.
CONTOURS: dict[float, Colour] = {0.05: (214, 39, 40), 0.15: (255, 127, 14), 0.30: (255, 221, 87)}


@dataclass(frozen=True)
class Look(Parametrised):
    """How a figure looks.

    Parameters
    ----------
    style : {'panel', 'overlay', 'map', 'contour'}
        ``panel`` shows the photo, the map, and the map over the photo, side by side; ``overlay``
        and ``map`` show one of them; ``contour`` shows lines around the highest values.
    colormap : {'inferno', 'viridis', 'magma', 'cividis', 'turbo', 'blue-red'}, optional
        If not given, ``blue-red`` for signed maps and ``inferno`` for others.
    alpha : float in [0, 1]
        How much the colours cover the photo in the overlay.
    size : int in [64, 4096]
        Pixels of the longer side of each picture.
    """

    style: Annotated[
        Style, Param("photo, map and overlay side by side, or one of them, or lines")
    ] = "panel"
    colormap: Annotated[
        Colormap | None, Param("the colours; blue-red for signed maps, else inferno")
    ] = None
    alpha: Annotated[float, Param("how much the colours cover the photo", ge=0, le=1)] = 0.6
    size: Annotated[int, Param("pixels of the longer side of each picture", ge=64, le=4096)] = 448


USUAL_LOOK = Look()


def draw_figure(
    photo: Image | Picture,
    heatmap: Heatmap,
    look: Look = USUAL_LOOK,
    *,
    title: str = "",
    subtitle: str = "",
    caption: str = "",
    note: str = "",
    signed: bool | None = None,
    window: Box | None = None,
) -> Picture:
    """Draw a heatmap beside and over its photo, with titles and a scale of its colours.

    Parameters
    ----------
    photo : (H, W, 3) ndarray of float32 in [0, 1] or uint8
        The photo.
    heatmap : (H, W) ndarray of float32
        At the photo's size.
    look : Look
        Style, colours and size.
    title, subtitle : str
        Written above: up to two lines each.
    caption : str
        What the numbers of the map are; written below their scale.
    note : str
        A warning, written below the caption.
    signed : bool, optional
        True: colours diverge from 0, blue below and red above. False: from the smallest value to
        the largest. If not given, True if any value is negative.
    window : Box, optional
        The part of the photo that the classifier saw. The rest is faded and has no colours, and
        its values do not affect the scale.

    Returns
    -------
    figure : (rows, columns, 3) ndarray of uint8

    Raises
    ------
    ValueError
        If the heatmap is not of the photo's size or has values that are not finite.
    """
    check_map(photo, heatmap)
    seen = _mark_window(photo.shape[:2], window)
    scale = choose_scale(heatmap[seen] if seen.any() else heatmap, signed, look.colormap)
    drawn = _fit(photo.shape[:2], look.size)
    parts = _Parts(
        _resize_plane(to_floats(photo), drawn),
        _resize_plane(heatmap.astype(np.float32), drawn),
        _resize_plane(seen.astype(np.float32), drawn) > 0.5,
        scale,
        look.alpha,
    )
    kinds = STYLES[look.style]
    pictures = [parts.draw(kind) for kind in kinds]
    if len(kinds) > 1:
        names = (LABELS[kind] for kind in kinds)
        pictures = [label(picture, name) for picture, name in zip(pictures, names, strict=True)]
    body = place_side_by_side(pictures, GAP)
    width = max(body.shape[1], MIN_WIDTH)
    font = min(max(width / 56, 15.0), 24.0)
    if look.style == "contour":
        key = draw_contour_key(CONTOURS, width, font)
    else:
        bands = [1.0] * ("map" in kinds) + [look.alpha] * ("overlay" in kinds)
        key = draw_scale_bar(scale, min(width, 680), font, bands)
    rows = [
        draw_text(title, width, font * 1.25, most=2),
        draw_text(subtitle, width, font, FAINT, 2),
        body,
        make_paper(GAP // 2, 1),
        key,
        draw_text(caption, width, font, most=2),
        draw_text(note, width, font, WARNING),
    ]
    return stack(rows, GAP // 2, MARGIN)


@dataclass(frozen=True, eq=False)
class _Parts:
    """The photo (H, W, 3), the map (H, W) and where it was seen, at the size drawn."""

    photo: Image
    values: Heatmap
    seen: NDArray[np.bool_]
    scale: Scale
    alpha: float

    def draw(self, kind: str) -> Picture:
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
        values = np.where(self.seen, self.values, self.values[self.seen].min())
        for share, colour in sorted(CONTOURS.items(), reverse=True):
            level = float(np.quantile(self.values[self.seen], 1 - share))
            for line in trace_contours(values, level):
                draw.line([(x, y) for y, x in line], (255, 255, 255), thickness + 2, "curve")
                draw.line([(x, y) for y, x in line], colour, thickness, "curve")
        return np.asarray(canvas)


def _fit(size: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return the rows and columns of a picture whose longer side has `side` pixels."""
    factor = side / max(size)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def _mark_window(size: tuple[int, ...], window: Box | None) -> NDArray[np.bool_]:
    """Mark the pixels of a photo whose centres lie in the window."""
    if window is None:
        return np.ones(size, bool)
    y, x = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    inside: NDArray[np.bool_] = np.logical_and.outer(
        (y > window.top) & (y < window.bottom), (x > window.left) & (x < window.right)
    )
    return inside


def _resize_plane(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return plane if plane.shape[:2] == size else resize(plane, size, antialias=True)
