"""Families with codes encode each slice, and share what all of their masks have in common."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from onnxplain.masks.codes import CodedMasks, CodeFamily, encode_masks
from onnxplain.masks.families import ArrayMasks, CellMasks, PatchMasks, UnionMasks
from tests.helpers.masks import CODED_FAMILIES, make_families


@pytest.mark.parametrize("name", CODED_FAMILIES)
def test_codes_of_a_slice_are_that_slice_of_all_codes(name: str) -> None:
    masks = make_families(9)[name]
    assert isinstance(masks, CodedMasks)
    whole, part = masks.codes(0, 9), encode_masks(masks, 2, 7)
    assert part is not None
    assert part.family == whole.family
    for key, values in part.per_evaluation.items():
        np.testing.assert_array_equal(values, whole.per_evaluation[key][2:7])
    assert set(part.statics()) == set(whole.statics())
    for key, values in part.statics().items():
        np.testing.assert_array_equal(values, whole.statics()[key])


def test_every_family_of_codes_has_masks_in_the_tests() -> None:
    codes = (encode_masks(masks, 0, 1) for masks in make_families().values())
    tested = {code.family for code in codes if code}
    with_codes = set(get_args(CodeFamily)) - {"pixels"}  # pixels: of masks that have none
    assert tested == with_codes, "add the masks to make_families"


def test_masks_without_codes_are_encoded_as_none() -> None:
    patches = PatchMasks(np.zeros((3, 2), np.int64), 2, (4, 5))
    assert encode_masks(UnionMasks(patches, np.array([0, 0, 1])), 0, 3) is None
    assert encode_masks(ArrayMasks(np.zeros((2, 4, 4), np.float32)), 0, 2) is None


def test_bool_cells_are_packed_eight_to_a_byte_the_first_highest() -> None:
    cells = np.zeros((1, 3, 3), bool)
    cells[0, 0, 0] = cells[0, 2, 2] = True
    codes = CellMasks(cells, (6, 6)).codes(0, 1)
    assert codes.per_evaluation["bits"].tolist() == [[0b10000000, 0b10000000]]
    assert codes.statics()["rows"].tolist() == [0, 0, 3, 3, 6, 6]
    assert codes.statics()["columns"].tolist() == [0, 0, 1, 1, 2, 2]
