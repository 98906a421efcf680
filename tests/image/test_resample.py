"""Resizing equals plain loops and Pillow."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnxplain.image import (
    resize,
)


def interpolate_bilinear(array: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Interpolate with half-pixel centres, clamped at the border, one pixel at a time."""
    interpolated = np.empty(size)
    for row, column in np.ndindex(*size):
        y = np.clip((row + 0.5) * array.shape[0] / size[0] - 0.5, 0, array.shape[0] - 1)
        x = np.clip((column + 0.5) * array.shape[1] / size[1] - 0.5, 0, array.shape[1] - 1)
        top, left = int(y), int(x)
        low, right = min(top + 1, array.shape[0] - 1), min(left + 1, array.shape[1] - 1)
        above = array[top, left] * (1 - x + left) + array[top, right] * (x - left)
        below = array[low, left] * (1 - x + left) + array[low, right] * (x - left)
        interpolated[row, column] = above * (1 - y + top) + below * (y - top)
    return interpolated


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
@settings(max_examples=60, deadline=None)
def test_bilinear_has_half_pixel_centres(
    dtype: type[np.floating], shape: tuple[int, int], size: tuple[int, int]
) -> None:
    array = np.random.default_rng(2).random(shape).astype(dtype)
    resized = resize(array, size)
    assert resized.dtype == dtype
    # OpenCV keeps the weights in float32, also for float64.
    np.testing.assert_allclose(
        resized, interpolate_bilinear(array.astype(np.float64), size), atol=3e-6
    )


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
@pytest.mark.parametrize("antialias", [False, True])
def test_resize_keeps_the_axes(shape: tuple[int, ...], antialias: bool) -> None:
    array = np.zeros(shape, np.float32)
    assert resize(array, (3, 9), antialias=antialias).shape == (3, 9, *shape[2:])


@pytest.mark.parametrize(
    ("interpolation", "resampling", "levels"),
    [
        ("bilinear", PIL.Image.Resampling.BILINEAR, 1.3),
        ("bicubic", PIL.Image.Resampling.BICUBIC, 4),  # Pillow clips overshoots after each pass
        ("area", PIL.Image.Resampling.BOX, 1.3),
        ("nearest", PIL.Image.Resampling.NEAREST, 0),
    ],
)
def test_antialiased_resize_equals_pillows_on_8_bit_photos(
    interpolation: str, resampling: PIL.Image.Resampling, levels: float
) -> None:
    photo = skimage.data.coffee()
    pillow = np.asarray(PIL.Image.fromarray(photo).resize((180, 120), resampling)) / 255.0
    resized = resize(photo.astype(np.float32) / 255, (120, 180), interpolation, antialias=True)  # type: ignore[arg-type]
    # Pillow rounds to 8 bits after each of its two passes.
    np.testing.assert_allclose(np.clip(resized, 0, 1), pillow, atol=levels / 255 + 1e-6)


def test_nearest_takes_the_pixel_at_the_centre() -> None:
    array = np.arange(5, dtype=np.float32)[None]
    np.testing.assert_array_equal(resize(array, (1, 3), "nearest"), [[0, 2, 4]])


def test_area_is_the_mean_of_whole_blocks() -> None:
    array = np.random.default_rng(3).random((6, 8)).astype(np.float32)
    blocks = array.reshape(3, 2, 2, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(array, (3, 2), "area"), blocks, rtol=1e-6)
