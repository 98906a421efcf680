"""All families render slices consistently, and masks of another shape are refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxplain.core.data import Mask, Size
from onnxplain.core.protocols import Masks
from onnxplain.masks.families import UnionMasks, render_masks
from tests.helpers.masks import make_families

SIZE = (21, 30)


def make_all_families() -> dict[str, Masks]:
    families = make_families(11, SIZE)
    union = UnionMasks(families["patch"], np.array([-1, 0, 0, 2, 2, 2, 2, 5, 7, 7, 7]))
    return {**families, "union": union}


@pytest.mark.parametrize("name", make_all_families())
def test_a_slice_of_a_family_equals_that_slice_of_all_its_masks(name: str) -> None:
    masks = make_all_families()[name]
    whole = masks.render(0, len(masks))
    assert whole.shape == (11, *SIZE)
    assert whole.dtype == np.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
    np.testing.assert_array_equal(masks.render(3, 8), whole[3:8])
    np.testing.assert_array_equal(render_masks(masks, 3, 8), whole[3:8])


class Transposed:
    """Masks of another package, whose rows and columns are exchanged."""

    size: Size = (4, 6)

    def __len__(self) -> int:
        return 3

    def render(self, start: int, stop: int) -> Mask:
        masks: NDArray[np.float32] = np.zeros((stop - start, 6, 4), np.float32)
        return masks


def test_masks_of_another_shape_are_refused_by_the_name_of_their_family() -> None:
    expected = r"Transposed: render\(1, 3\) must return masks of shape \(2, 4, 6\), got \(2, 6, 4\)"
    with pytest.raises(ValueError, match=expected):
        render_masks(Transposed(), 1, 3)
