"""Blur and inpainting equal SciPy and expectations in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from onnxplain.image import (
    Classical,
    box_blur,
    gaussian_blur,
    inpaint_classical,
)


@pytest.mark.parametrize("sigma", [0.7, 3.0, 10.0])
def test_gaussian_blur_equals_scipy(sigma: float) -> None:
    image = np.random.default_rng(5).random((60, 90, 3)).astype(np.float32)
    expected = scipy.ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0))
    np.testing.assert_allclose(gaussian_blur(image, sigma), expected, atol=1e-6)


@pytest.mark.parametrize("window", [1, 4, 15])
def test_box_blur_equals_scipy(window: int) -> None:
    image = np.random.default_rng(6).random((40, 30, 3)).astype(np.float32)
    expected = scipy.ndimage.uniform_filter(image.astype(np.float64), (window, window, 1))
    np.testing.assert_allclose(box_blur(image, window), expected, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["telea", "navier-stokes"])
@pytest.mark.parametrize("size", [(1, 40), (40, 1)])
def test_classical_inpainting_of_a_single_row_or_column_is_that_of_two(
    algorithm: Classical, size: tuple[int, int]
) -> None:
    """OpenCV reads memory beside it: whatever was there before."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        image = (rng.integers(0, 256, (*size, 3)) / 255).astype(np.float32)
        hole = rng.random(size) < 0.4
        axis = size.index(1)
        filled = inpaint_classical(image, hole, algorithm, 3.0)
        double = inpaint_classical(
            np.repeat(image, 2, axis), np.repeat(hole, 2, axis), algorithm, 3.0
        )
        np.testing.assert_array_equal(filled, double.take([0], axis))


@pytest.mark.parametrize("algorithm", ["telea", "navier-stokes"])
def test_classical_inpainting_continues_a_ramp(algorithm: str) -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    image = np.repeat(np.tile(ramp, (64, 1))[..., None], 3, axis=2)
    hole = np.zeros((64, 64), bool)
    hole[28:36, 28:36] = True
    broken = np.where(hole[..., None], np.float32(0), image)
    filled = inpaint_classical(broken, hole, algorithm, 3.0)  # type: ignore[arg-type]
    assert np.abs(filled - image)[hole].mean() < 0.03  # a hole left black would give 0.5
