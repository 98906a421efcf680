"""One explanation as one picture: the photo, its map, and both together, with a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from onnxplain.core.data import Box, Heatmap, Image
from onnxplain.core.params import Param, Parametrised
from onnxplain.plot.colours import Colormap, check_map, choose_scale
from onnxplain.plot.layout import label, make_paper, place_side_by_side, stack
from onnxplain.plot.parts import CONTOURS, Kind, Parts, bring_parts, get_seen
from onnxplain.plot.scale_bar import draw_contour_key, draw_scale_bar
from onnxplain.plot.text import FAINT, WARNING, Picture, draw_text

Style: TypeAlias = Literal["panel", "overlay", "map", "contour"]

STYLES: dict[Style, tuple[Kind, ...]] = {
    "panel": ("photo", "map", "overlay"),
    "overlay": ("overlay",),
    "map": ("map",),
    "contour": ("contour",),
}
LABELS = {"photo": "photo", "map": "map", "overlay": "map over the photo"}
MARGIN, GAP = 20, 14
MIN_WIDTH = 560  # of a figure, so that its text can be read beside a tall photo


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

    name: ClassVar[str] = "figure"

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
        Of the window, or of the whole photo if there is none; at any size.
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
        If the heatmap is not a map, or has values that are not finite.
    """
    check_map(heatmap)
    rows, columns, _ = photo.shape
    drawn = bring_parts(photo, heatmap, window, (rows, columns), look.size)
    _, values, seen = drawn
    scale = choose_scale(get_seen(values, seen), signed, look.colormap)
    parts = Parts(*drawn, scale, look.alpha)
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
