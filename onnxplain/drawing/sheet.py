"""Contact sheets: methods, targets, fills or classifiers beside images, as one picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from onnxplain.core.data import Heatmap, Image
from onnxplain.core.params import Param, Parametrised
from onnxplain.drawing.arrange import Line, Place, arrange, describe_shared
from onnxplain.drawing.view import view_seen, view_whole
from onnxplain.plot.colours import Colormap, Scale, choose_scale
from onnxplain.plot.grid import Row, Tile, choose_font_size, draw_grid
from onnxplain.plot.layout import stack
from onnxplain.plot.parts import CONTOURS, Parts, bring_parts, get_seen
from onnxplain.plot.scale_bar import draw_contour_key, draw_scale_bar
from onnxplain.plot.text import FAINT, Picture, draw_text
from onnxplain.results import Explanation, name_doubt

SheetStyle: TypeAlias = Literal["overlay", "map", "contour"]
MARGIN, MIN_WIDTH, MAX_BAR = 20, 480, 560
TICKS = {0.0: "lowest", 1.0: "highest"}
SIGNED_TICKS = {-1.0: "below 0", 0.0: "0", 1.0: "above 0"}


@dataclass(frozen=True)
class SheetLook(Parametrised):
    """How a contact sheet looks.

    Parameters
    ----------
    style : {'overlay', 'map', 'contour'}
        The map over the photo, the map alone, or lines around its highest values.
    colormap : {'inferno', 'viridis', 'magma', 'cividis', 'turbo', 'blue-red'}, optional
        If not given, ``blue-red`` for signed maps and ``inferno`` for others.
    alpha : float in [0, 1]
        How much the colours cover the photo.
    size : int in [64, 2048]
        Pixels of the longer side of each picture.
    columns : int
        Largest number of pictures side by side; further ones stand below.
    scale : {'own', 'shared'}
        ``own``: each map has its colours from its lowest to its highest value, which stand below
        it. ``shared``: maps whose numbers mean the same have the same colours.
    whole : bool
        Whether to show all of the photo, not only what the classifier saw of it.
    """

    name: ClassVar[str] = "sheet"

    style: Annotated[SheetStyle, Param("map over the photo, map alone, or lines")] = "overlay"
    colormap: Annotated[
        Colormap | None, Param("the colours; blue-red for signed maps, else inferno")
    ] = None
    alpha: Annotated[float, Param("how much the colours cover the photo", ge=0, le=1)] = 0.6
    size: Annotated[int, Param("pixels of the longer side of each picture", ge=64, le=2048)] = 200
    columns: Annotated[int, Param("most pictures side by side", ge=1)] = 6
    scale: Annotated[
        Literal["own", "shared"],
        Param("colours from each map's lowest to its highest value, or shared by maps alike"),
    ] = "own"
    whole: Annotated[
        bool, Param("whether to show all of the photo, not only what the classifier saw")
    ] = False


USUAL_SHEET = SheetLook()


def draw_sheet(
    explanations: Iterable[Explanation], look: SheetLook = USUAL_SHEET
) -> PIL.Image.Image:
    """Draw many explanations as one picture.

    Each image has a column, with its photo above. Whatever else differs between the explanations
    has a row each: classifier, method, fill, parameters, seed, and the targets of one image. Of
    one image, the targets have the columns; if only one thing differs, all stand in one row.

    Parameters
    ----------
    explanations : iterable of Explanation
        At least one; of several that answer the same question, the last one is drawn.
    look : SheetLook
        Style, colours, size and scale.

    Returns
    -------
    sheet : PIL.Image.Image
        In RGB.

    Raises
    ------
    ValueError
        If there is no explanation, or a map holds NaN or infinite values.

    Examples
    --------
    >>> methods = ["rise", "grad-cam"]
    >>> maps = [onnxplain.explain(classifier, photo, name) for name in methods]  # doctest: +SKIP
    >>> onnxplain.draw_sheet(maps).save("sheet.png")  # doctest: +SKIP
    """
    given = list(explanations)
    if not given:
        raise ValueError("a sheet shows explanations, got none")
    lines = arrange(given)
    cells = [_make_cells(line, look) for line in lines]
    scales = _share_scales(cells, look) if look.scale == "shared" else {}
    grids = []
    for start, stop in _cut(len(lines[0].places), look.columns):
        rows = [
            Row(line.label, [cell.draw(look, scales) if cell else None for cell in row[start:stop]])
            for line, row in zip(lines, cells, strict=True)
        ]
        grids.append(draw_grid(rows, look.size))
    width = max(MIN_WIDTH, *(grid.shape[1] for grid in grids))
    font = choose_font_size(look.size)
    key = _draw_key([cell for row in cells for cell in row if cell], scales, look, width)
    shared = draw_text(describe_shared(given), width, font * 1.1, FAINT, 2)
    return PIL.Image.fromarray(stack([shared, stack(grids, 32), *key], 12, MARGIN))


@dataclass(frozen=True, eq=False)
class _Cell:
    """A place, with its photo and map at the size drawn."""

    place: Place
    photo: Image
    values: Heatmap
    seen: NDArray[np.bool_]
    own: Scale

    @property
    def meaning(self) -> str:
        """What the numbers of the map are, or at least which method made them."""
        explanation = self.place.explanation
        return explanation.meaning.text or f"values of {explanation.method}"

    def draw(self, look: SheetLook, scales: Mapping[str, Scale]) -> Tile:
        """Draw the tile of this place."""
        place = self.place
        if place.shows == "text":
            return Tile(None, place.title, place.subtitle)
        scale = scales.get(self.meaning, self.own)
        parts = Parts(self.photo, self.values, self.seen, scale, look.alpha)
        if place.shows == "photo":
            missing = "" if place.explanation.photo is not None else "no photo in the file"
            return Tile(parts.draw("photo"), place.title, place.subtitle, warning=missing)
        shown = get_seen(self.values, self.seen)
        caption = f"{shown.min():.2g} to {shown.max():.2g}"
        doubt = name_doubt(place.explanation.heatmap, place.explanation.meaning)
        return Tile(parts.draw(look.style), place.title, place.subtitle, caption, doubt)


def _make_cells(line: Line, look: SheetLook) -> list[_Cell | None]:
    return [_make_cell(place, look) if place else None for place in line.places]


def _make_cell(place: Place, look: SheetLook) -> _Cell:
    explanation = place.explanation
    if not np.isfinite(explanation.heatmap).all():
        raise ValueError(f"{explanation.image}: the heatmap has NaN or infinite values")
    view = view_whole(explanation) if look.whole else view_seen(explanation)
    photo, values, seen = bring_parts(
        view.photo, explanation.heatmap, view.window, view.size, look.size
    )
    own = choose_scale(get_seen(values, seen), None, look.colormap)
    return _Cell(place, photo, values, seen, own)


def _share_scales(cells: Sequence[Sequence[_Cell | None]], look: SheetLook) -> dict[str, Scale]:
    """Choose one scale for all maps whose numbers mean the same."""
    values: dict[str, list[NDArray[np.float32]]] = {}
    for cell in (cell for row in cells for cell in row):
        if cell and cell.place.shows == "map":
            values.setdefault(cell.meaning, []).append(get_seen(cell.values, cell.seen))
    return {
        meaning: choose_scale(np.concatenate(of_maps), None, look.colormap)
        for meaning, of_maps in values.items()
    }


class _Key(NamedTuple):
    """A scale of a sheet, and what stands below it."""

    scale: Scale
    ticks: Mapping[float, str] | None
    caption: str


def _draw_key(
    cells: Sequence[_Cell], scales: Mapping[str, Scale], look: SheetLook, width: int
) -> Iterator[Picture]:
    """Draw the scales of the maps, and say what their numbers are."""
    font = choose_font_size(look.size)
    maps = [cell for cell in cells if cell.place.shows == "map"]
    if look.style == "contour":
        yield draw_contour_key(CONTOURS, width, font)
    else:
        band = look.alpha if look.style == "overlay" else 1.0
        for key in _list_keys(maps, scales):
            yield draw_scale_bar(key.scale, min(width, MAX_BAR), font, [band], key.ticks)
            yield draw_text(key.caption, width, font, most=4)
    texts = [] if scales else _list_meanings(maps)
    texts.append("The number at a class is its probability.")
    yield stack([draw_text(text, width, font, FAINT) for text in texts], 2)


def _list_meanings(maps: Sequence[_Cell]) -> list[str]:
    """Say what the numbers of the maps are, by method."""
    makers: dict[str, dict[str, None]] = {}
    for cell in maps:
        shown = cell.place.explanation
        makers.setdefault(shown.meaning.text, {})[shown.method] = None
    return [f"{', '.join(methods)}: {text}" for text, methods in makers.items() if text]


def _list_keys(maps: Sequence[_Cell], scales: Mapping[str, Scale]) -> list[_Key]:
    """List the scales that are used, each once."""
    if scales:
        return [_Key(scale, None, meaning) for meaning, scale in scales.items()]
    keys = {}
    for cell in maps:
        signed = cell.own.low == -cell.own.high and cell.own.low < 0
        ticks = SIGNED_TICKS if signed else TICKS
        keys[signed] = _Key(Scale(-float(signed), 1.0, cell.own.colormap), ticks, "")
    *others, last = keys.values()
    text = "Each map has colours of its own; its lowest and highest value stand below it."
    return [*others, last._replace(caption=text)]


def _cut(n: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut columns into as few bands as possible, of nearly the same length."""
    bands = -(-n // most)
    bounds = [-(-i * n // bands) for i in range(bands + 1)]
    yield from pairwise(bounds)
