"""Masks by segment, by rank and by union."""

from __future__ import annotations

import numpy as np

from onnxplain.masks.patches import PatchMasks
from onnxplain.masks.pixels import RankMasks, SegmentMasks, UnionMasks

RNG = np.random.default_rng(0)
SIZE = (21, 30)


def test_segment_masks_remove_the_pixels_of_their_segments() -> None:
    segments = np.array([[0, 0, 1], [2, 2, 1]])
    masks = SegmentMasks(segments, np.array([[1, 0, 1], [0, 1, 0]], np.uint8))
    np.testing.assert_array_equal(masks.render(0, 1)[0], [[1, 1, 0], [1, 1, 0]])
    np.testing.assert_array_equal(masks.render(1, 2)[0], [[0, 0, 1], [0, 0, 1]])


def test_rank_masks_remove_the_lowest_ranks() -> None:
    masks = RankMasks(RNG.permutation(21 * 30).reshape(SIZE), np.arange(0, 630, 60))
    assert masks.render(0, 11).sum(axis=(1, 2)).tolist() == masks.removed.tolist()
    assert (masks.rank[masks.render(2, 3)[0] == 1] < masks.removed[2]).all()


def test_a_union_removes_what_any_member_of_its_group_removes() -> None:
    patches = PatchMasks(RNG.integers(-9, 30, (11, 2)), 6, SIZE)
    groups = np.array([-1, 0, 0, 2, 2, 2, 2, 5, 7, 7, 7])
    members = patches.render(0, 11)
    for i, union in enumerate(UnionMasks(patches, groups).render(0, 11)):
        group = [member for j, member in enumerate(members) if groups[j] == groups[i]]
        np.testing.assert_array_equal(union, np.sum(group, axis=0) > 0)
