"""Masks of one patch each, and the positions of a sliding patch."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.masks.patches import PatchMasks, list_corners, place_patches, prepend_empty_mask

SIZE = (21, 30)


def test_a_patch_that_hangs_over_the_border_removes_only_pixels_inside() -> None:
    corners = np.array([[-2, -3], [19, 28], [-6, 4], [30, 40], [5, 5]])
    areas = PatchMasks(corners, 6, SIZE).render(0, 5).sum(axis=(1, 2))
    assert areas.tolist() == [4 * 3, 2 * 2, 0, 0, 36]


def test_a_sliding_patch_takes_every_position_inside_row_by_row() -> None:
    rows, columns = place_patches((7, 9), 4, 2, "sp")
    assert (rows.tolist(), columns.tolist()) == ([0, 2], [0, 2, 4])
    corners = list_corners(rows, columns)
    assert corners.tolist() == [[0, 0], [0, 2], [0, 4], [2, 0], [2, 2], [2, 4]]
    assert (PatchMasks(corners, 4, (7, 9)).render(0, 6).sum(axis=(1, 2)) == 16).all()


def test_a_patch_larger_than_the_image_is_refused_in_the_owners_name() -> None:
    with pytest.raises(ValueError, match=r"sp: patch must fit in the image of 7 x 9 .* got 8"):
        place_patches((7, 9), 8, 1, "sp")


def test_the_prepended_mask_removes_nothing() -> None:
    masks = prepend_empty_mask(np.array([[1, 2]]), 3, SIZE)
    assert masks.render(0, 2).sum(axis=(1, 2)).tolist() == [0, 9]
