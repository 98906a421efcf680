from __future__ import annotations

import numpy as np

from onnxplain.fills import FoldedBlur
from onnxplain.fills.folded import KERNEL
from tests.helpers.fills import make_photo


def test_the_kernel_is_a_gaussian_of_sd_5_whose_tails_are_folded_back_at_its_ends() -> None:
    """Weights beyond the ends of the window are mirrored into it, as often as needed."""
    offsets = np.arange(-20, 21)  # SciPy, which the authors use, cuts at 4 standard deviations
    weights = np.exp(-((offsets / 5) ** 2) / 2)
    folded = np.zeros(11)
    for offset, weight in zip(offsets, weights, strict=True):
        place = (offset + 5) % 22  # d c b a | a b c d has a period of two windows
        folded[place if place < 11 else 21 - place] += weight
    np.testing.assert_allclose(KERNEL, folded / folded.sum(), atol=1e-12)


def test_the_border_counts_as_the_colour_given_and_the_middle_as_a_weighted_mean() -> None:
    image, border = make_photo(24, 20), (0.2, 0.5, 0.9)
    picture = FoldedBlur(border=border).prepare(image, np.random.default_rng(0))
    padded = np.pad(image.astype(np.float64) - border, ((5, 5), (5, 5), (0, 0)))
    kernel = np.outer(KERNEL, KERNEL)[..., None]
    for row, column in [(0, 0), (3, 19), (12, 10), (23, 7)]:
        window = padded[row : row + 11, column : column + 11]
        expected = (window * kernel).sum(axis=(0, 1)) + border
        np.testing.assert_allclose(picture[row, column], expected, atol=1e-6)


def test_a_picture_of_the_borders_colour_stays_as_it_is() -> None:
    image = np.full((15, 13, 3), (0.2, 0.5, 0.9), np.float32)
    picture = FoldedBlur(border=(0.2, 0.5, 0.9)).prepare(image, np.random.default_rng(0))
    np.testing.assert_allclose(picture, image, atol=1e-6)
