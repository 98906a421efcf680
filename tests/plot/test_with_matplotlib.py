"""Plots of matplotlib show the same colours, at pixels of the photo."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from onnxplain.core.data import Box, Meaning
from onnxplain.core.errors import LibraryMissing
from onnxplain.image import list_colours
from tests.helpers.explanations import make_explanation

HALVES = np.repeat(np.array([[0.2, 0.6]], np.float32), 8, axis=0).repeat(4, axis=1)


@pytest.fixture
def pyplot() -> Iterator[object]:
    matplotlib = pytest.importorskip("matplotlib", reason="plots need matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_a_panel_has_photo_map_and_both_in_pixels_of_the_photo(pyplot: object) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    explanation = make_explanation(photo=photo, heatmap=HALVES)
    axes = explanation.plot()
    assert [place.get_title() for place in axes] == ["photo", "map", "map over the photo"]
    np.testing.assert_array_equal(axes[0].images[0].get_array(), photo)
    shown = axes[1].images[0].get_array() / 255
    np.testing.assert_allclose(shown[20, 5], list_colours("inferno")[0], atol=3e-3)
    np.testing.assert_allclose(shown[20, 55], list_colours("inferno")[-1], atol=3e-3)
    for place in axes:
        assert place.get_xlim() == (-0.5, 59.5)
        assert place.get_ylim() == (39.5, -0.5)
    assert len({id(place.figure) for place in axes}) == 1


def test_the_scale_says_the_range_and_the_meaning(pyplot: object) -> None:
    explanation = make_explanation(heatmap=HALVES, meaning=Meaning("probability lost"))
    axes = explanation.plot(style="map")
    (place,) = axes
    bar = next(other for other in place.figure.axes if other is not place)
    np.testing.assert_allclose(bar.get_xlim(), (0.2, 0.6), rtol=1e-6)
    assert bar.get_xlabel() == "probability lost"


def test_into_axes_that_are_given_the_map_goes_over_the_photo(pyplot: object) -> None:
    figure, grid = pyplot.subplots(1, 2)  # type: ignore[attr-defined]
    (place,) = make_explanation().plot(grid[1])
    assert place is grid[1]
    assert not grid[0].images
    assert " ".join(place.get_title().split()).startswith(
        "espresso · class 967 · probability 0.938"
    )
    assert place.figure is figure


@pytest.mark.parametrize("style", ["panel", "overlay", "map", "contour"])
def test_hostile_names_odd_maps_and_tall_photos_are_plotted(pyplot: object, style: str) -> None:
    explanation = make_explanation(
        target_name="$\\frac$ <b>" + "W" * 400,
        heatmap=np.zeros((8, 8), np.float32),
        photo=np.zeros((900, 30, 3), np.uint8),
        window=Box(400, 0, 430, 30),
    )
    axes = explanation.plot(style=style)  # type: ignore[arg-type]
    axes[0].figure.canvas.draw()  # raises where a text is no formula, or does not fit


def test_a_large_photo_is_shown_smaller_at_its_own_coordinates(pyplot: object) -> None:
    explanation = make_explanation(photo=np.zeros((1500, 3000, 3), np.uint8))
    (place,) = explanation.plot(style="overlay")
    assert place.images[0].get_array().shape == (512, 1024, 3)
    assert place.get_xlim() == (-0.5, 2999.5)


def test_without_matplotlib_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(LibraryMissing, match=r"pip install 'onnxplain\[plot\]'.*overlay\(\)"):
        make_explanation().plot()
