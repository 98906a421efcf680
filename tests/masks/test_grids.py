"""Masks of coarse grids: RISE's, and grids with sharp cells."""

from __future__ import annotations

import numpy as np

from onnxplain.masks.grids import CellMasks, GridMasks, SmoothCellMasks
from tests.reference.methods import rise_mask, smooth_cells_mask

RNG = np.random.default_rng(0)
SIZE = (21, 30)
MASKS = GridMasks(
    RNG.integers(0, 2, (11, 4, 4)).astype(np.uint8), RNG.integers(0, [6, 8], (11, 2)), SIZE
)


def test_grid_masks_remove_what_the_papers_masks_keep() -> None:
    for i, mask in enumerate(MASKS.render(0, len(MASKS))):
        kept = rise_mask(1 - MASKS.cells[i], MASKS.offsets[i], SIZE)
        np.testing.assert_allclose(1 - mask, kept, atol=1e-6)


def test_the_weighted_sum_of_grids_equals_that_of_rendered_masks() -> None:
    weights = RNG.standard_normal(11)
    expected = np.tensordot(weights, MASKS.render(0, 11), axes=1)
    np.testing.assert_allclose(MASKS.weighted_sum(weights), expected, atol=1e-5)


def test_samples_and_parts_of_grids_are_those_of_rendered_masks() -> None:
    rendered, rows, columns = MASKS.render(0, 11), np.array([0, 7, 20]), np.array([3, 29])
    sampled = MASKS.sample(rows, columns)
    np.testing.assert_allclose(sampled, rendered[:, rows][:, :, columns], atol=1e-6)
    np.testing.assert_array_equal(MASKS.part(3, 8).render(1, 4), MASKS.render(4, 7))


def test_smooth_cells_are_interpolated_between_their_centres() -> None:
    cells = RNG.integers(0, 2, (3, 4, 4)).astype(np.uint8)
    rendered = SmoothCellMasks(cells, SIZE).render(0, 3)
    for grid, mask in zip(cells, rendered, strict=True):
        np.testing.assert_allclose(mask, smooth_cells_mask(grid, SIZE), atol=1e-6)


def test_each_pixel_of_a_cell_mask_has_the_value_of_its_cell() -> None:
    cells = np.array([[[0.0, 1.0, 0.5]], [[1.0, 0.25, 0.0]]], np.float32)
    masks = CellMasks(cells, (2, 6)).render(0, 2)
    np.testing.assert_array_equal(masks[0], [[0, 0, 1, 1, 0.5, 0.5]] * 2)
    np.testing.assert_array_equal(masks[1], [[1, 1, 0.25, 0.25, 0, 0]] * 2)
