import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxplain.masks.families import (
    ArrayMasks,
    CellMasks,
    GridMasks,
    PatchMasks,
    RankMasks,
    SegmentMasks,
    UnionMasks,
    find_nearest_cells,
    sum_weighted,
)
from tests.reference.methods import rise_mask

RNG = np.random.default_rng(0)
SIZE = (21, 30)


def families():
    return {
        "patch": PatchMasks(RNG.integers(-9, 30, (11, 2)), 6, SIZE),
        "grid": GridMasks(
            RNG.integers(0, 2, (11, 4, 4)).astype(np.uint8), RNG.integers(0, [6, 8], (11, 2)), SIZE
        ),
        "segment": SegmentMasks(
            RNG.integers(0, 5, SIZE), RNG.integers(0, 2, (11, 5)).astype(np.uint8)
        ),
        "cell": CellMasks(RNG.random((11, 4, 7), np.float32), SIZE),
        "bits": CellMasks(RNG.random((11, 4, 7)) < 0.5, SIZE),
        "rank": RankMasks(RNG.permutation(21 * 30).reshape(SIZE), np.arange(0, 630, 60)),
        "array": ArrayMasks(RNG.random((11, *SIZE), np.float32)),
        "union": UnionMasks(
            PatchMasks(RNG.integers(-9, 30, (11, 2)), 6, SIZE),
            np.array([-1, 0, 0, 2, 2, 2, 2, 5, 7, 7, 7]),
        ),
    }


@pytest.mark.parametrize("name", list(families()))
def test_any_slice_of_a_family_is_that_slice_of_all_of_it(name):
    masks = families()[name]
    whole = masks.render(0, len(masks))
    assert whole.shape == (11, *SIZE)
    assert whole.dtype == np.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
    np.testing.assert_array_equal(masks.render(3, 8), whole[3:8])


def test_a_patch_that_hangs_over_the_border_removes_only_what_is_inside():
    corners = np.array([[-2, -3], [19, 28], [-6, 4], [30, 40], [5, 5]])
    areas = PatchMasks(corners, 6, SIZE).render(0, 5).sum(axis=(1, 2))
    assert areas.tolist() == [4 * 3, 2 * 2, 0, 0, 36]


def test_grid_masks_are_the_papers_masks_removed_instead_of_kept():
    masks = families()["grid"]
    for i, mask in enumerate(masks.render(0, len(masks))):
        kept = rise_mask(1 - masks.cells[i], masks.offsets[i], SIZE)
        np.testing.assert_allclose(1 - mask, kept, atol=1e-6)


def test_the_weighted_sum_of_grids_equals_that_of_rendered_masks():
    masks, weights = families()["grid"], RNG.standard_normal(11)
    np.testing.assert_allclose(masks.weighted_sum(weights), sum_weighted(masks, weights), atol=1e-5)


def test_a_union_removes_what_any_member_of_its_group_does():
    unions = families()["union"]
    members = unions.masks.render(0, 11)
    for i, union in enumerate(unions.render(0, 11)):
        group = [member for j, member in enumerate(members) if unions.groups[j] == unions.groups[i]]
        np.testing.assert_array_equal(union, np.sum(group, axis=0) > 0)


def test_rank_masks_remove_the_lowest_ranks():
    masks = families()["rank"]
    assert masks.render(0, 11).sum(axis=(1, 2)).tolist() == masks.removed.tolist()
    assert (masks.rank[masks.render(2, 3)[0] == 1] < masks.removed[2]).all()


@given(st.integers(1, 40), st.integers(1, 300))
def test_nearest_gives_the_cell_that_holds_the_pixels_centre(cells, pixels):
    centres = (np.arange(pixels) + 0.5) / pixels * cells
    index = find_nearest_cells(cells, pixels)
    assert (index <= centres + 1e-9).all()
    assert (centres - 1e-9 <= index + 1).all()
