from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxplain.core.data import Images, Mask
from onnxplain.core.errors import InpainterError
from onnxplain.fills import Inpaint
from tests.helpers.fills import Painter, make_masks, make_photo, paint


def test_soft_masks_are_holes_from_one_half() -> None:
    painter = Painter()
    image = make_photo()
    pictures = paint(Inpaint(painter), image, make_masks(image))
    holes = np.concatenate(painter.seen)
    expected: NDArray[np.float32] = (make_masks(image)[1:] >= 0.5).astype(np.float32)
    np.testing.assert_array_equal(holes, expected)  # the empty mask is not even asked for
    np.testing.assert_array_equal(pictures[2, 20:26, 20:30], np.float32(0.25))
    np.testing.assert_array_equal(pictures[2, 26:30, 20:30], image[26:30, 20:30])


def test_the_inpainter_is_asked_in_batches_of_its_size() -> None:
    painter = Painter(batch_size=2)
    image = make_photo()
    paint(Inpaint(painter), image, np.ones((5, *image.shape[:2]), np.float32))
    assert [len(masks) for masks in painter.seen] == [2, 2, 1]


def test_an_inpainter_that_paints_nan_or_another_shape_raises_an_error() -> None:
    image = make_photo()
    masks = make_masks(image)
    with pytest.raises(InpainterError, match="NaN"):
        paint(Inpaint(Painter(colour=np.nan)), image, masks)

    class Transposer(Painter):
        def inpaint(self, images: Images, masks: Mask) -> Images:
            return images.transpose(0, 3, 1, 2)

    with pytest.raises(InpainterError, match=r"\(2, 3, 48, 40\).*layout"):
        paint(Inpaint(Transposer()), image, masks)
