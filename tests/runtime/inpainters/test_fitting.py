"""Images and holes are brought to an inpainter's size, and nothing in the hole leaks out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.image import resize
from onnxplain.runtime.inpainters.fitting import blank_holes, fit_size, restore_size
from tests.helpers import painters
from tests.helpers.painters import load_painter, make_rectangles
from tests.helpers.specs import photos

SIDES = st.integers(3, 40)


@settings(max_examples=60, deadline=None)
@given(outer=st.tuples(SIDES, SIDES), inner=st.tuples(SIDES, SIDES), seed=st.integers(0, 99))
def test_one_colour_of_known_pixels_stays_and_the_mask_is_nearest_and_loses_no_pixel(
    outer: tuple[int, int], inner: tuple[int, int], seed: int
) -> None:
    hole = np.random.default_rng(seed).random((1, *outer)) < 0.5
    images = np.where(hole[..., None], 1, 0.25).astype(np.float32).repeat(3, axis=3)
    got, mask = fit_size(images, hole, inner, 1)
    expected = np.zeros((1, *inner), bool)
    for i in range(inner[0]):
        for j in range(inner[1]):
            expected[0, i, j] = hole[
                0, find_centre(i, outer[0], inner[0]), find_centre(j, outer[1], inner[1])
            ]
    for y, x in np.argwhere(hole[0]):
        expected[0, find_centre(y, inner[0], outer[0]), find_centre(x, inner[1], outer[1])] = True
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_allclose(got[~mask], 0.25, atol=1e-5)
    painted = np.where(mask[..., None], 0.75, 9).astype(np.float32).repeat(3, axis=3)
    back = restore_size(painted, mask, outer, resampled=True)
    np.testing.assert_allclose(back[hole], 0.75, atol=1e-5)


def find_centre(pixel: int, other: int, side: int) -> int:
    """Find the pixel of another side under the centre of this side's pixel."""
    return int((pixel + 0.5) * other / side)


def test_far_from_the_hole_images_are_plainly_resampled() -> None:
    images, holes = photos(2, (40, 52)), np.zeros((2, 40, 52), bool)
    holes[:, 10:20, 10:20] = True
    got, _ = fit_size(images, holes, (60, 80), 1)
    for fitted, image in zip(got, images, strict=True):
        np.testing.assert_allclose(fitted[35:], resize(image, (60, 80))[35:], atol=1e-6)


@pytest.mark.parametrize(("outer", "inner"), [((10, 80), (16, 16)), ((80, 10), (16, 16))])
def test_a_side_that_shrinks_is_antialiased_whatever_the_other_side_does(
    outer: tuple[int, int], inner: tuple[int, int]
) -> None:
    images, holes = photos(1, outer), np.zeros((1, *outer), bool)
    expected = resize(images[0], inner, antialias=True)
    (got,), _ = fit_size(images, holes, inner, 1)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    (back,) = restore_size(images, ~holes, inner, resampled=True)
    np.testing.assert_array_equal(back, expected)


@pytest.mark.parametrize("size", [(16, 48), (17, 33), (3, 5)])
def test_multiples_keep_each_pixel(size: tuple[int, int]) -> None:
    images, holes = photos(2, size), photos(2, size)[..., 0] > 0.5
    got, mask = fit_size(images, holes, None, 16)
    assert all(side % 16 == 0 for side in got.shape[1:3])
    assert got.shape[:3] == mask.shape
    np.testing.assert_array_equal(restore_size(got, mask, size, resampled=False), images)
    np.testing.assert_array_equal(mask[:, : size[0], : size[1]], holes)


def test_blank_holes_have_the_mean_of_the_known_pixels_or_grey() -> None:
    images, holes = photos(2, (9, 7)), np.zeros((2, 9, 7), bool)
    holes[0, 2:5, 1:6] = True
    holes[1] = True
    got = blank_holes(images, holes)
    np.testing.assert_array_equal(got[~holes], images[~holes])
    mean = images[0][~holes[0]].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(got[0][holes[0]], np.broadcast_to(mean, (15, 3)), atol=1e-6)
    np.testing.assert_array_equal(got[1], np.full((9, 7, 3), 0.5, np.float32))


def test_images_are_continued_by_their_mirror_image(tmp_path: Path) -> None:
    painter = load_painter(painters.plain(multiple=16), tmp_path)
    images, masks = photos(1, (40, 52)), make_rectangles(1, (40, 52))
    grown = np.pad(images, ((0, 0), (0, 8), (0, 12), (0, 0)), mode="symmetric")[0]
    hole = np.pad(masks, ((0, 0), (0, 8), (0, 12)), mode="symmetric")[0] > 0
    (filled,) = painter.inpaint(images, masks)
    expected = np.broadcast_to(painters.compute_colour(grown, hole), filled[masks[0] > 0].shape)
    np.testing.assert_allclose(filled[masks[0] > 0], expected, atol=1e-5)
