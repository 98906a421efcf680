"""Figures show the values in their places, and never fail on odd maps or names."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import skimage.data

from onnxplain.core.data import Box
from onnxplain.image import list_colours
from onnxplain.plot.figure import MARGIN, Look, Style, draw_figure

GREY = np.full((500, 600, 3), 0.5, np.float32)
STYLES = get_args(Style)


def test_the_map_alone_has_the_colours_of_its_values() -> None:
    heatmap = np.full((500, 600), 0.4, np.float32)
    heatmap[:, 300:] = 0.7
    drawn = draw_figure(GREY, heatmap, Look("map", size=600))[MARGIN:, MARGIN:] / 255
    np.testing.assert_allclose(drawn[250, 20], list_colours("inferno")[0], atol=2e-3)
    np.testing.assert_allclose(drawn[250, 580], list_colours("inferno")[-1], atol=2e-3)


def test_a_panel_shows_the_photo_the_map_and_both() -> None:
    photo = skimage.data.chelsea()
    heatmap = np.zeros(photo.shape[:2], np.float32)
    panel = draw_figure(photo, heatmap, Look(size=photo.shape[1]))
    assert panel.shape[1] == 3 * photo.shape[1] + 2 * 14 + 2 * MARGIN
    at_photo = panel[:, MARGIN : MARGIN + photo.shape[1]]
    (top,) = np.flatnonzero((at_photo[:, :9] == photo[0, :9]).all(axis=(1, 2)))
    np.testing.assert_array_equal(at_photo[top : top + len(photo)], photo)


def test_values_outside_the_window_have_no_colour_and_do_not_set_the_range() -> None:
    heatmap = np.full((400, 400), 9, np.float32)  # of which 100 rows are above the photo
    heatmap[100:, :200], heatmap[100:, 200:] = 0.4, 0.7
    drawn = draw_figure(GREY, heatmap, Look("map", size=600), window=Box(-100, 100, 300, 500))
    drawn = drawn[MARGIN:, MARGIN:] / 255
    assert np.ptp(drawn[450, 300]) == 0
    np.testing.assert_allclose(drawn[250, 200], list_colours("inferno")[0], atol=2e-3)


@pytest.mark.parametrize("value", [0, 3, -2, 1e-30, 1e30])
@pytest.mark.parametrize("signed", [None, True, False])
@pytest.mark.parametrize("style", STYLES)
def test_constant_maps_are_drawn(value: float, signed: bool | None, style: Style) -> None:
    heatmap = np.full((500, 600), value, np.float32)
    picture = draw_figure(GREY, heatmap, Look(style), title="all", signed=signed)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("size", [(64, 48), (500, 600), (3000, 500), (1, 1), (2, 900)])
@pytest.mark.parametrize("style", STYLES)
def test_photos_of_any_size_are_drawn_with_room_for_text(
    size: tuple[int, int], style: Style
) -> None:
    heatmap = np.random.default_rng(0).random(size).astype(np.float32)
    picture = draw_figure(np.ones((*size, 3), np.float32), heatmap, Look(style), title="a title")
    assert picture.shape[1] >= 560


def test_photo_of_bytes_and_of_floats_looks_the_same() -> None:
    photo = skimage.data.chelsea()
    heatmap = np.random.default_rng(0).random(photo.shape[:2]).astype(np.float32)
    from_floats = draw_figure(photo.astype(np.float32) / 255, heatmap)
    assert np.abs(draw_figure(photo, heatmap).astype(int) - from_floats).max() <= 1


def test_contours_enclose_their_share_of_the_pixels() -> None:
    rows, columns = np.indices((400, 400))
    heatmap = -np.hypot(rows - 199.5, columns - 199.5).astype(np.float32)
    drawn = draw_figure(
        np.full((400, 400, 3), 0.5, np.float32), heatmap, Look("contour", size=400)
    )[MARGIN : MARGIN + 400, MARGIN : MARGIN + 400]
    red = (drawn == (214, 39, 40)).all(axis=2)
    radius = np.hypot(rows - 199.5, columns - 199.5)[red].mean()
    assert radius == pytest.approx(np.sqrt(0.05 * 400**2 / np.pi), abs=1.5)


def test_texts_make_the_figure_taller_and_never_wider() -> None:
    plain = draw_figure(GREY, np.zeros((500, 600), np.float32))
    full = draw_figure(
        GREY,
        np.zeros((500, 600), np.float32),
        title="W" * 900,
        subtitle="name " * 90,
        caption="probability lost",
        note="may be noise " * 40,
    )
    assert full.shape[1] == plain.shape[1]
    assert full.shape[0] > plain.shape[0] + 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "pie"}, "Look: style .*'pie'"),
        ({"colormap": "jet"}, "Look: colormap .*'jet'"),
        ({"alpha": 1.5}, "Look: alpha must be >= 0 and <= 1, got 1.5"),
        ({"size": 5}, "Look: size must be >= 64 and <= 4096, got 5"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Look(**options)


def test_a_map_has_its_own_values_up_to_the_edge_of_its_window() -> None:
    heatmap, window = np.ones((8, 8), np.float32), Box(33, 33, 411, 455)
    heatmap[3:5, 3:5] = 0
    figure = draw_figure(GREY, heatmap, Look("map", size=333), window=window)
    drawn = figure[MARGIN : MARGIN + 278, MARGIN : MARGIN + 333] / 255
    highest = np.abs(drawn - list_colours("inferno")[-1]).max(axis=2) < 0.01
    (rows,), (columns,) = highest.any(axis=1).nonzero(), highest.any(axis=0).nonzero()
    edges = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
    np.testing.assert_allclose(np.array(edges) * 600 / 333, (33, 411, 33, 455), atol=1.8)
    inside = highest[edges[0] : edges[1], edges[2] : edges[3]]
    assert inside[0].all()
    assert inside[-1].all()
    assert inside[:, 0].all()
    assert inside[:, -1].all()


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rows and columns, got shape \(4, 4, 1\)"):
        draw_figure(GREY, np.zeros((4, 4, 1), np.float32))
    with pytest.raises(ValueError, match="NaN"):
        draw_figure(GREY, np.full((500, 600), np.nan, np.float32))
