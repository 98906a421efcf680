"""A colour is a value, on any photo."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.color

from onnxplain.image import list_colours
from onnxplain.plot.colours import blend, choose_scale, tint


@pytest.mark.parametrize("name", ["inferno", "viridis", "magma", "cividis"])
def test_colours_equal_matplotlibs(name: str) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    expected = matplotlib.colormaps[name](np.arange(256))[:, :3]
    np.testing.assert_allclose(list_colours(name), expected, atol=2.1 / 255)


@pytest.mark.parametrize("name", ["inferno", "viridis", "magma", "cividis"])
def test_lightness_of_the_colours_increases(name: str) -> None:
    lightness = skimage.color.rgb2lab(list_colours(name)[None])[0, :, 0]
    assert (np.diff(lightness) > -0.5).all()  # the colours have 8 bits
    assert lightness[-1] - lightness[0] > 60


def test_smallest_and_largest_value_have_the_end_colours() -> None:
    scale = choose_scale(np.array([0.4, 0.7]))
    np.testing.assert_array_equal(scale.colour(np.array([0.4])), list_colours("inferno")[:1])
    np.testing.assert_array_equal(scale.colour(np.array([0.7])), list_colours("inferno")[-1:])


def test_signed_values_are_blue_below_zero_white_at_zero_and_red_above() -> None:
    scale = choose_scale(np.array([-0.2, 0.4]))
    assert (scale.low, scale.high) == (-0.4, 0.4)
    blue, white, red = scale.colour(np.array([-0.4, 0.0, 0.4]))
    assert blue[2] > blue[1] > blue[0]
    assert white.min() > 0.95
    assert red[0] > max(red[1], red[2])


def test_colours_on_black_white_and_grey_are_the_same() -> None:
    colours = choose_scale(np.array([0.0, 1.0])).colour(np.linspace(0, 1, 64 * 64).reshape(64, 64))
    black, white, grey = (
        blend(np.full((64, 64), level, np.float32), colours, 0.6) for level in (0, 1, 0.4)
    )
    np.testing.assert_allclose(black, white, atol=1e-5)
    np.testing.assert_allclose(black, grey, atol=1e-5)
    np.testing.assert_allclose(black, tint(colours, 0.6), atol=1e-5)


def test_nothing_of_the_photo_is_seen_at_full_cover_and_edges_are_seen_below() -> None:
    photo = np.zeros((64, 64), np.float32)
    photo[:, 32:] = 1
    colours = np.full((64, 64, 3), 0.5, np.float32)
    np.testing.assert_array_equal(blend(photo, colours, 1.0), colours)
    assert np.ptp(blend(photo, colours, 0.6)) > 0.2


def test_there_is_no_line_where_a_signed_map_crosses_zero() -> None:
    colours = choose_scale(np.array([-1.0, 1.0])).colour(np.linspace(-1, 1, 401))
    steps = np.abs(np.diff(colours, axis=0)).max(axis=1)
    assert steps[195:206].max() <= 2 * np.median(steps) + 0.01


@pytest.mark.parametrize("high", [1.0, 3e-6])
def test_a_map_has_a_sign_if_its_negative_values_could_be_told_from_zero(high: float) -> None:
    visible, hidden = np.array([-high / 100, high]), np.array([-high / 500, high])
    for values, differs in ((visible, True), (hidden, False)):
        below, zero = choose_scale(values, signed=True).colour(np.array([values[0], 0.0]))
        assert (np.abs(below - zero).max() > 1.5 / 255) == differs
        assert choose_scale(values).colormap == ("blue-red" if differs else "inferno")
    assert choose_scale(-hidden).colormap == "blue-red"
    assert choose_scale(np.array([-high, 0.0])).colormap == "blue-red"
