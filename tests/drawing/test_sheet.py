"""Sheets show each map in its colours at its place, and never fail on odd maps or names."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from onnxplain import SheetLook, draw_sheet
from onnxplain.core.data import Box, Meaning
from onnxplain.image import list_colours
from onnxplain.results import Explanation
from tests.helpers.explanations import make_explanation

HALVES = np.repeat(np.array([[0.2, 0.6]], np.float32), 8, axis=0).repeat(4, axis=1)
MEANING = Meaning("probability lost", is_score=True)


def draw(explanations: list[Explanation], **look: Any) -> NDArray[np.uint8]:
    sheet = draw_sheet(explanations, SheetLook(**{"style": "map", **look}))
    assert isinstance(sheet, PIL.Image.Image)
    return np.asarray(sheet)


def count(sheet: NDArray[np.uint8], level: int) -> int:
    """Count the pixels of one of the 256 colours of inferno."""
    colour = np.rint(list_colours("inferno")[level] * 255)
    return int((np.abs(sheet - colour).max(axis=2) <= 1).sum())


def test_each_map_has_its_own_colours_or_shares_them() -> None:
    maps = [
        make_explanation(heatmap=HALVES * factor, image=f"{factor}.jpg", meaning=MEANING)
        for factor in (1, 2)
    ]
    tile = 100 * 150 / 2  # pixels of one half of a map, without the blurred border between them
    own = draw(maps, size=150)
    assert count(own, 0) == pytest.approx(2 * tile, rel=0.2)
    assert count(own, 255) == pytest.approx(2 * tile, rel=0.2)
    shared = draw(maps, size=150, scale="shared")
    assert count(shared, 0) == pytest.approx(tile, rel=0.2)  # 0.2, of 0.2 to 1.2
    assert count(shared, 102) == pytest.approx(tile, rel=0.2)  # 0.6
    assert count(shared, 51) == pytest.approx(tile, rel=0.2)  # 0.4
    assert count(shared, 255) == pytest.approx(tile, rel=0.2)


def test_maps_of_other_meanings_share_no_scale() -> None:
    first = make_explanation(heatmap=HALVES, meaning=MEANING)
    second = make_explanation(heatmap=HALVES * 100, method="grad-cam", meaning=Meaning("weight"))
    shared = draw([first, second], size=150, scale="shared")
    assert count(shared, 0) == pytest.approx(2 * 100 * 150 / 2, rel=0.2)


def test_a_signed_map_has_white_at_zero() -> None:
    heatmap = np.zeros((8, 8), np.float32)
    heatmap[:, :2], heatmap[:, -1] = -0.4, 0.2
    sheet = draw([make_explanation(heatmap=heatmap)], size=160)
    assert count(sheet, 0) < 50
    whites = (np.abs(sheet.astype(int) - 245).max(axis=2) <= 1).sum()
    assert whites == pytest.approx(160 * 107 * 5 / 8, rel=0.25)


def test_the_photo_stands_once_above_its_column() -> None:
    photos = [np.full((40, 60, 3), level, np.uint8) for level in (90, 170)]
    maps = [
        make_explanation(photo=photo, image=f"{i}.jpg", method=method)
        for i, photo in enumerate(photos)
        for method in ("rise", "sp", "grad-cam")
    ]
    sheet = draw(maps, size=120)
    lefts = []
    for level in (90, 170):
        there = np.argwhere((sheet == level).all(axis=2))
        assert len(there) == 80 * 120
        lefts.append(there[0, 1])
    assert lefts[1] == lefts[0] + 120 + 12


def test_what_the_classifier_did_not_see_has_no_colour() -> None:
    explanation = make_explanation(window=Box(0, 0, 40, 30), heatmap=HALVES)
    sheet = draw([explanation], size=120, whole=True)
    faded = round((0.7 + 0.3 * 120 / 255) * 255)
    there = (np.abs(sheet.astype(int) - faded).max(axis=2) <= 1).sum()
    assert there == pytest.approx(2 * 80 * 60, rel=0.05)  # and a few pixels of text


@pytest.mark.parametrize("n", [1, 5, 12])
@pytest.mark.parametrize("columns", [1, 4, 6])
def test_columns_beyond_the_most_stand_below(n: int, columns: int) -> None:
    maps = [make_explanation(image=f"{i}.jpg", method=m) for i in range(n) for m in ("sp", "rise")]
    sheet = draw(maps, size=64, columns=columns)
    photos = (sheet == 120).all(axis=2)
    assert photos.sum() == n * 43 * 64
    n_tiles = n if n > 1 else 3  # of one image, its maps stand behind the photo
    bands = -(-n_tiles // columns)
    in_band = -(-n_tiles // bands)
    assert sheet.shape[1] <= max(520, 40 + 120 + in_band * (64 + 12))


def test_only_what_the_classifier_saw_is_shown_unless_the_whole_is_asked_for() -> None:
    photo = np.full((40, 60, 3), 90, np.uint8)
    photo[:, 20:] = 170
    explanation = make_explanation(window=Box(0, 20, 40, 60), photo=photo)
    seen, whole = draw([explanation], size=120), draw([explanation], size=120, whole=True)
    assert (seen == 170).all(axis=2).sum() == 120 * 120
    assert not (seen == 90).all(axis=2).any()
    assert (whole == 170).all(axis=2).sum() == pytest.approx(80 * 80, rel=0.03)


def test_doubtful_maps_say_so_below_them() -> None:
    flat = HALVES * np.float32(0.001)
    plain = draw([make_explanation(heatmap=flat)])
    doubted = draw([make_explanation(heatmap=flat, meaning=MEANING)])
    warning = (160, 82, 0)
    assert (plain == warning).all(axis=2).sum() == 0
    assert (doubted == warning).all(axis=2).sum() > 20


@pytest.mark.parametrize("style", ["overlay", "map", "contour"])
@pytest.mark.parametrize("value", [0, -3, 1e30])
def test_constant_maps_and_hostile_names_are_drawn(style: Any, value: float) -> None:
    odd = make_explanation(
        heatmap=np.full((8, 8), value, np.float32),
        target_name="<script>alert(1)</script>\0\n" + "W" * 500,
        image="\udcff\u202e" + "x" * 300,
        photo=np.zeros((600, 40, 3), np.uint8),
    )
    sheet = draw([odd, make_explanation()], style=style, size=64)
    assert sheet.shape[1] < 700


def test_without_photos_maps_are_drawn_and_the_sheet_says_so() -> None:
    assert (draw([make_explanation(photo=None)]) == (160, 82, 0)).all(axis=2).any()


def test_no_explanation_and_odd_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="got none"):
        draw_sheet([])
    bad = make_explanation(heatmap=np.full((8, 8), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"coffee\.jpg: the heatmap has NaN"):
        draw_sheet([bad])
    with pytest.raises(ValueError, match="SheetLook: columns must be >= 1"):
        SheetLook(columns=0)
