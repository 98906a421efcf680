"""Grids put every picture below its title and beside its label."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.plot.grid import GAP, MIN_COLUMN, Row, Tile, draw_grid
from onnxplain.plot.text import Colour, Picture

RED, GREEN, BLUE, PINK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255)


def paint(colour: Colour, rows: int = 100, columns: int = 150) -> Picture:
    return np.broadcast_to(np.array(colour, np.uint8), (rows, columns, 3)).copy()


def find(sheet: Picture, colour: Colour) -> tuple[int, int, int, int]:
    """Return the top, left, rows and columns of the rectangle of a colour."""
    there = (sheet == colour).all(axis=2)
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert there.sum() == height * width
    return int(rows[0]), int(columns[0]), int(height), int(width)


def test_pictures_of_a_column_stand_below_one_another_and_of_a_row_at_one_height() -> None:
    sheet = draw_grid(
        [
            Row("", [Tile(paint(RED), "a"), Tile(paint(GREEN), "long title " * 30)]),
            Row("rise", [Tile(paint(BLUE), caption="0 to 1"), Tile(paint(PINK))]),
        ],
        150,
    )
    red, green, blue, pink = (find(sheet, colour) for colour in (RED, GREEN, BLUE, PINK))
    assert red[2:] == green[2:] == blue[2:] == pink[2:] == (100, 150)
    assert red[0] == green[0]
    assert blue[0] == pink[0] > red[0] + 100
    assert red[1] == blue[1] > 0
    assert green[1] == pink[1] == red[1] + 150 + GAP


def test_a_missing_tile_leaves_its_place_empty() -> None:
    full = draw_grid([Row("", [Tile(paint(RED)), Tile(paint(GREEN))])], 150)
    sheet = draw_grid(
        [Row("", [Tile(paint(RED)), Tile(paint(GREEN))]), Row("", [None, Tile(paint(BLUE))])], 150
    )
    assert sheet.shape[1] == full.shape[1]
    top, left, *_ = find(sheet, BLUE)
    assert left == find(sheet, GREEN)[1]
    assert (sheet[top + 30 :, :left] == 255).all()


def test_a_tall_picture_has_room_for_its_text() -> None:
    sheet = draw_grid([Row("", [Tile(paint(RED, 200, 20), "espresso 0.95")])], 200)
    assert sheet.shape[1] == MIN_COLUMN
    assert find(sheet, RED)[1:] == (0, 200, 20)


@pytest.mark.parametrize("side", [64, 200, 600])
def test_long_labels_and_titles_never_widen_a_column(side: int) -> None:
    tiles = [Tile(paint(RED, side // 2, side), "W" * 300, "w" * 300, "w " * 300, "W " * 300)]
    plain = draw_grid([Row("", [Tile(paint(RED, side // 2, side))])], side)
    labelled = draw_grid([Row("a method with many parameters " * 9, tiles)], side)
    assert plain.shape[1] == max(side, min(side, MIN_COLUMN))
    assert labelled.shape[1] <= plain.shape[1] + GAP + max(side, MIN_COLUMN)
