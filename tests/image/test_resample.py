"""Resizing equals plain loops and Pillow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import PIL.Image
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnxplain.core.data import Interpolation
from onnxplain.image import resize
from onnxplain.image.resample import resample, resample_photo


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
    ("interpolation", "levels"),
    [("bilinear", 1.3), ("bicubic", 4), ("area", 1.3), ("hamming", 1.3), ("lanczos", 6)],
)
def test_photos_of_8_bits_are_rounded_as_in_pillow_and_others_are_not(
    interpolation: Interpolation, levels: float
) -> None:
    photo = skimage.data.coffee()
    image = photo.astype(np.float32) / 255
    number = PIL.Image.Resampling["BOX" if interpolation == "area" else interpolation.upper()]
    pillow = np.asarray(PIL.Image.fromarray(photo).resize((180, 120), number))
    rounded = resample_photo(image, (120, 180), interpolation)
    np.testing.assert_array_equal(rounded, pillow.astype(np.float32) / 255)
    # Pillow rounds, and clips overshoots, after each of its two passes.
    exact = np.clip(resample(image, (120, 180), interpolation), 0, 1)
    np.testing.assert_allclose(exact, rounded, atol=levels / 255 + 1e-6)
    assert np.abs(exact - rounded).max() > 0.4 / 255
    fine = image * np.float32(0.99)
    np.testing.assert_array_equal(
        resample_photo(fine, (120, 180), interpolation),
        np.clip(resample(fine, (120, 180), interpolation), 0, 1),
    )


TRIANGLE = 1.0, lambda x: np.maximum(1 - np.abs(x), 0)
BOX = 0.5, lambda x: ((x > -0.5) & (x <= 0.5)).astype(float)
HAMMING = 1.0, lambda x: np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)) * (np.abs(x) < 1)
LANCZOS = 3.0, lambda x: np.sinc(x) * np.sinc(x / 3) * (np.abs(x) < 3)


def keys_cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic with a = -0.5."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


@pytest.mark.parametrize(
    ("interpolation", "support", "kernel"),
    [
        ("bilinear", *TRIANGLE),
        ("bicubic", 2.0, keys_cubic),
        ("area", *BOX),
        ("hamming", *HAMMING),
        ("lanczos", *LANCZOS),
    ],
)
@pytest.mark.parametrize("size", [(7, 9), (23, 41), (40, 12)])
def test_filters_are_those_of_the_textbook_widened_where_the_picture_shrinks(
    interpolation: Interpolation,
    support: float,
    kernel: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    size: tuple[int, int],
) -> None:
    array = np.random.default_rng(3).random((23, 31))

    def weigh(n_in: int, n_out: int) -> NDArray[np.float64]:
        wide = max(n_in / n_out, 1.0)
        weights = np.zeros((n_out, n_in))
        for i in range(n_out):
            centre = (i + 0.5) * n_in / n_out
            first = max(int(centre - support * wide + 0.5), 0)
            last = min(int(centre + support * wide + 0.5), n_in)
            weights[i, first:last] = kernel((np.arange(first, last) + 0.5 - centre) / wide)
        return weights / weights.sum(axis=1, keepdims=True)

    expected = weigh(23, size[0]) @ array @ weigh(31, size[1]).T
    np.testing.assert_allclose(resample(array, size, interpolation), expected, atol=2e-6)


def test_nearest_takes_the_pixel_at_the_centre() -> None:
    array = np.arange(5, dtype=np.float32)[None]
    np.testing.assert_array_equal(resample(array, (1, 3), "nearest"), [[0, 2, 4]])
