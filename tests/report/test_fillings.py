"""Fills are made again as the explanation saw them."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.core.data import Box, make_rng
from onnxplain.fills import Blur
from onnxplain.report.fillings import cut_window, make_filling
from onnxplain.report.material import Photo


@pytest.fixture
def photo() -> Photo:
    y, x = np.mgrid[:40, :60]
    pixels = np.stack([4 * x, 5 * y, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    return Photo("a.png", (40, 60), pixels)


def test_window_is_cut_out_and_resized(photo: Photo):
    window = Box(10, 20, 30, 40)
    np.testing.assert_array_equal(cut_window(photo, window, (20, 20)), photo.pixels[10:30, 20:40])
    beyond = cut_window(photo, Box(-10, 0, 50, 60), (60, 60))
    np.testing.assert_array_equal(beyond[10:50], photo.pixels)
    assert not beyond[:10].any()


def test_blur_is_that_of_the_fill(photo: Photo):
    filling = make_filling(photo, Box(0, 10, 40, 50), (40, 40), "blur", {"sigma": 3.0}, 0)
    image = photo.pixels[:, 10:50].astype(np.float32) / 255
    expected = Blur(3.0).prepare(image, make_rng(0)) * 255
    assert filling.picture is not None
    np.testing.assert_allclose(filling.picture, expected, atol=0.51)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("inpaint", {}), ("telea", {}), ("none", {}), ("of-another-version", {}), ("blur", {"s": 1})],
)
def test_fill_that_cannot_be_made_has_no_picture(photo: Photo, name: str, parameters: dict):
    filling = make_filling(photo, Box(0, 0, 40, 60), (40, 60), name, parameters, 0)
    assert (filling.name, filling.picture) == (name, None)
