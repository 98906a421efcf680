from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxplain.fills import Black, Colour, DatasetMean, White
from tests.helpers.fills import make_photo


@pytest.mark.parametrize(
    ("fill", "colour"),
    [
        (DatasetMean(), (0.485, 0.456, 0.406)),
        (Black(), (0, 0, 0)),
        (White(), (1, 1, 1)),
        (Colour(rgb=(1.0, 0.25, 0.0)), (1, 0.25, 0)),
    ],
)
def test_plain_fills_are_their_colour(fill: Any, colour: tuple[float, float, float]) -> None:
    image = make_photo()
    expected = np.full(image.shape, colour, np.float32)
    np.testing.assert_array_equal(fill.prepare(image, np.random.default_rng(0)), expected)


def test_colours_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="rgb must be >= 0 and <= 1, got 255"):
        Colour(rgb=(255, 0, 0))
