"""Overlays show the values in their places, and never fail on odd maps or names."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from onnxplain import plot
from onnxplain.core.data import Box
from onnxplain.image import list_inferno_colours
from onnxplain.plot import draw_overlay


def cut_photo(picture: NDArray[np.uint8], rows: int, title_rows: int = 0) -> NDArray[np.float64]:
    """Return the photo's part of a picture, in [0, 1]."""
    return picture[title_rows : title_rows + rows].astype(np.float64) / 255


GREY = np.full((500, 600, 3), 0.5, np.float32)


def test_smallest_and_largest_value_have_the_end_colours_of_the_map() -> None:
    heatmap = np.full((500, 600), 0.4, np.float32)
    heatmap[:, 300:] = 0.7
    drawn = cut_photo(draw_overlay(GREY, heatmap, alpha=1.0), 500)
    np.testing.assert_allclose(
        drawn[:, :300], np.broadcast_to(list_inferno_colours()[0], (500, 300, 3)), atol=2e-3
    )
    np.testing.assert_allclose(
        drawn[:, 300:], np.broadcast_to(list_inferno_colours()[-1], (500, 300, 3)), atol=2e-3
    )


def test_colour_map_equals_matplotlibs_inferno() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    expected = matplotlib.colormaps["inferno"](np.arange(256))[:, :3]
    np.testing.assert_allclose(list_inferno_colours(), expected, atol=1.1 / 255)


def test_lightness_of_the_colour_map_increases() -> None:
    lightness = skimage.color.rgb2lab(list_inferno_colours()[None])[0, :, 0]
    assert (np.diff(lightness) > -0.3).all()  # the map has 8 bits
    assert lightness[-1] - lightness[0] > 90


def test_signed_map_is_blue_below_zero_grey_at_zero_and_red_above() -> None:
    heatmap = np.zeros((500, 600), np.float32)
    heatmap[:, :100], heatmap[:, 500:] = -0.2, 0.4
    drawn = cut_photo(draw_overlay(GREY, heatmap), 500)
    red, green, blue = drawn[250, 50]
    assert blue > green > red
    red, green, blue = drawn[250, 550]
    assert red > green
    assert red > blue
    assert np.ptp(drawn[250, 300]) == 0  # the photo itself, which is grey


def test_signed_colours_are_symmetric() -> None:
    heatmap = np.zeros((500, 600), np.float32)
    heatmap[:, :100], heatmap[:, 500:] = -0.2, 0.4
    mirrored = cut_photo(draw_overlay(GREY, -heatmap), 500)
    drawn = cut_photo(draw_overlay(GREY, heatmap), 500)
    assert mirrored[250, 550, 2] > mirrored[250, 550, 0]
    np.testing.assert_array_equal(drawn[250, 300], mirrored[250, 300])


def test_values_outside_the_window_have_no_colour_and_do_not_set_the_range() -> None:
    heatmap = np.zeros((500, 600), np.float32)
    heatmap[100:400, 100:300], heatmap[100:400, 300:500] = 0.4, 0.7
    window = Box(100, 100, 400, 500)
    drawn = cut_photo(draw_overlay(GREY, heatmap, window=window, alpha=1.0), 500)
    assert np.ptp(drawn[50, 300]) == 0
    np.testing.assert_allclose(drawn[250, 200], list_inferno_colours()[0], atol=2e-3)


@pytest.mark.parametrize("value", [0, 3, -2, 1e-30, 1e30])
@pytest.mark.parametrize("signed", [None, True, False])
def test_constant_maps_are_drawn(value: float, signed: bool | None) -> None:
    picture = draw_overlay(GREY, np.full((500, 600), value, np.float32), title="all", signed=signed)
    assert picture.dtype == np.uint8
    assert picture.shape[1] == 600


def test_signed_map_of_zeros_has_no_colour() -> None:
    drawn = draw_overlay(GREY, np.zeros((500, 600), np.float32), signed=True)
    assert np.ptp(drawn[:500], axis=2).max() == 0


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((64, 48), (480, 360)),
        ((500, 600), (500, 600)),
        ((3000, 1500), (1024, 512)),
        ((1, 1), (480, 480)),
    ],
)
def test_size_of_a_drawn_photo_is_bounded(size: tuple[int, int], drawn: tuple[int, int]) -> None:
    picture = draw_overlay(np.ones((*size, 3), np.float32), np.zeros(size, np.float32))
    assert picture.shape[1] == drawn[1]
    assert drawn[0] < picture.shape[0] < drawn[0] + 80


def test_photo_of_bytes_and_of_floats_looks_the_same() -> None:
    photo = skimage.data.chelsea()
    heatmap = np.random.default_rng(0).random(photo.shape[:2]).astype(np.float32)
    from_floats = draw_overlay(photo.astype(np.float32) / 255, heatmap)
    assert np.abs(draw_overlay(photo, heatmap).astype(int) - from_floats).max() <= 1


@pytest.mark.parametrize("word", ["coonhound, ", "W" * 500, "日本語 "])
def test_long_title_stays_inside_and_takes_three_lines_at_most(word: str) -> None:
    plain = draw_overlay(GREY, np.zeros((500, 600), np.float32))
    titled = draw_overlay(GREY, np.zeros((500, 600), np.float32), title=word * 60)
    title_rows = titled.shape[0] - plain.shape[0]
    assert titled.shape[1] == 600
    assert 0 < title_rows < 120
    np.testing.assert_array_equal(titled[title_rows:], plain)
    assert (titled[:title_rows] < 128).any()


def test_title_is_broken_between_words_and_complete_if_it_fits() -> None:
    font = plot.load_font(20)
    lines = plot.break_lines("black and tan coonhound 0.93 · rise", font, 150)
    assert " ".join(lines) == "black and tan coonhound 0.93 · rise"
    assert all(font.getlength(line) <= 150 for line in lines)
    assert len(lines) > 1


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (0.4, 0.31, "0.4"),
        (4.5e-5, 1, "0"),
        (-0.0, 1, "0"),
        (0.12345, 0.2, "0.123"),
        (3e-7, 3e-7, "3e-07"),
    ],
)
def test_values_of_the_bar_are_formatted_to_a_hundredth_of_the_scale(
    value: float, scale: float, text: str
) -> None:
    assert plot.format_bar_value(value, scale) == text


def test_heatmap_of_another_size_or_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(500, 600\).*\(600, 500\)"):
        draw_overlay(GREY, np.zeros((600, 500), np.float32))
    with pytest.raises(ValueError, match="NaN"):
        draw_overlay(GREY, np.full((500, 600), np.nan, np.float32))
