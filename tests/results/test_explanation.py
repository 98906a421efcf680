"""Explanations are drawn and shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onnxplain.image import read_image
from onnxplain.results import (
    Explanation,
    load_explanation,
)


def test_overlay_needs_no_photo_again(explanation: Explanation, tmp_path: Path):
    smooth = np.linspace(0, 255, 20 * 30 * 3).reshape(20, 30, 3).astype(np.uint8)
    explanation = replace(explanation, photo=smooth)
    loaded = load_explanation(explanation.save(tmp_path).heatmap)
    difference = loaded.overlay().astype(float) - explanation.overlay().astype(float)
    assert np.abs(difference).mean() < 1  # the photo was kept as a JPEG
    np.testing.assert_array_equal(loaded.overlay(smooth), explanation.overlay())
    assert loaded.photo.shape == (20, 30, 3)
    with pytest.raises(ValueError, match=r"without its photo; give the photo, as overlay\(photo\)"):
        replace(explanation, photo=None).overlay()


def test_short_text_represents_an_explanation(explanation: Explanation):
    assert repr(explanation) == (
        "Explanation('photos/coffee.jpg': espresso, strong coffee (967) 0.938, sp with blur, "
        "10 evaluations)"
    )


def test_repr_of_an_explanation_is_short(explanation: Explanation):
    assert len(repr(explanation)) < 600


def test_overlay_is_a_picture_at_least_as_large_as_the_photo(
    explanation: Explanation, tmp_path: Path
):
    saved = explanation.save(tmp_path)
    assert saved.overlay is not None
    rows, columns, channels = read_image(saved.overlay).shape
    assert channels == 3
    assert rows >= 20
    assert columns >= 30


def test_a_notebook_shows_the_figure_and_says_what_it_is(explanation: Explanation):
    png, about = explanation._repr_png_()
    shown = read_image(png)
    drawn = explanation.overlay(size=320)
    np.testing.assert_array_equal(np.rint(shown * 255), drawn)
    assert about["alt"].startswith("espresso · class 967 · probability 0.938, coffee.jpg · sp")


def test_a_notebook_shows_the_map_of_an_explanation_without_its_photo(explanation: Explanation):
    png, _ = replace(explanation, photo=None)._repr_png_()
    assert read_image(png).shape[1] < explanation.overlay(size=320).shape[1]


def test_a_picture_of_another_size_is_not_drawn_on(explanation: Explanation):
    with pytest.raises(ValueError, match=r"has size \(20, 30\), the picture to draw on \(9, 9\)"):
        explanation.overlay(np.zeros((9, 9, 3), np.uint8))
