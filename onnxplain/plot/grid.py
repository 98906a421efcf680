"""A table of small pictures: titles above the columns, labels at the left of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxplain.plot.layout import make_paper, place_side_by_side, stack
from onnxplain.plot.text import FAINT, WARNING, Picture, draw_text, measure_text

GAP = 12
MIN_COLUMN = 120  # so that the text of a tall picture can be read
LABEL_SHARE = 0.9  # widest column of labels, as a share of the longest picture


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture with text around it.

    Parameters
    ----------
    picture : (rows, columns, 3) ndarray of uint8, optional
        Without one, only the text is drawn.
    title, subtitle : str
        Above the picture: up to two lines, and one. Of a subtitle that does not fit, the middle
        is left out, as names of files mostly differ at their ends.
    caption : str
        Below it.
    warning : str
        Below that, in the colour of warnings.
    """

    picture: Picture | None
    title: str = ""
    subtitle: str = ""
    caption: str = ""
    warning: str = ""


@dataclass(frozen=True, eq=False)
class Row:
    """A label, and a tile per column; None where there is nothing to show."""

    label: str
    tiles: Sequence[Tile | None]


def draw_grid(rows: Sequence[Row], side: int) -> Picture:
    """Draw rows of tiles whose columns stand below one another.

    Parameters
    ----------
    rows : sequence of Row
        Of as many tiles each.
    side : int
        Pixels of the longer side of the pictures; it decides the size of the text.
    """
    font = choose_font_size(side)
    widths = [_find_width([row.tiles[i] for row in rows], side) for i in range(len(rows[0].tiles))]
    gutter = _find_gutter([row.label for row in rows], font, side)
    return stack([_draw_row(row, widths, gutter, font) for row in rows], GAP)


def choose_font_size(side: int) -> float:
    """Choose the height of the text for pictures of a size."""
    return min(max(side / 14, 13.0), 20.0)


def _find_width(tiles: Sequence[Tile | None], side: int) -> int:
    """Return the columns that the pictures of a column, and their text, take."""
    pictures = [tile.picture for tile in tiles if tile is not None and tile.picture is not None]
    width: int = max([min(side, MIN_COLUMN), *(picture.shape[1] for picture in pictures)])
    return width


def _find_gutter(labels: Sequence[str], font_size: float, side: int) -> int:
    """Return the columns that the labels of the rows take; 0 if there are none."""
    longest = max(measure_text(label, font_size) for label in labels)
    words = [measure_text(word, font_size) for label in labels for word in label.split()]
    room = max(side * LABEL_SHARE, MIN_COLUMN)
    width: float = min(max(min(longest, room), *words, 0), 2 * room)
    return int(np.ceil(width))


def _draw_row(row: Row, widths: Sequence[int], gutter: int, font: float) -> Picture:
    """Draw the tiles of a row side by side, their pictures at one height."""
    heads = [_draw_head(tile, width, font) for tile, width in zip(row.tiles, widths, strict=True)]
    above = max(len(head) for head in heads)
    blocks = []
    for tile, head, width in zip(row.tiles, heads, widths, strict=True):
        block = make_paper(above, width)
        block[: len(head)] = head
        blocks.append(np.concatenate([block, _draw_body(tile, width, font)]))
    if gutter:
        label = draw_text(row.label, gutter, font, most=6)
        blocks.insert(0, np.concatenate([make_paper(above, gutter), label]))
    return place_side_by_side(blocks, GAP)


def _draw_head(tile: Tile | None, width: int, font: float) -> Picture:
    """Draw what stands above a picture."""
    if tile is None:
        return make_paper(0, width)
    title = draw_text(tile.title, width, font, most=2)
    subtitle = draw_text(tile.subtitle, width, font, FAINT, 1, keep_end=True)
    return np.concatenate([title, subtitle])


def _draw_body(tile: Tile | None, width: int, font: float) -> Picture:
    """Draw a picture and what stands below it."""
    if tile is None:
        return draw_text("none", width, font, FAINT)
    body = []
    if tile.picture is not None:
        body.append(make_paper(len(tile.picture) + 3, width))
        body[0][: len(tile.picture), : tile.picture.shape[1]] = tile.picture
    body.append(draw_text(tile.caption, width, font, FAINT, 2))
    body.append(draw_text(tile.warning, width, font, WARNING, 2))
    return np.concatenate(body)
