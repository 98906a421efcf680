"""Photos and maps are brought to the size drawn at the right place."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.core.data import Box
from onnxplain.image import bring_back
from onnxplain.plot.parts import bring_parts, fit


def test_a_map_lies_where_the_full_map_has_it() -> None:
    rng = np.random.default_rng(0)
    heatmap, window = rng.random((8, 8)).astype(np.float32), Box(0, 30, 90, 120)
    photo = np.full((90, 150, 3), 77, np.uint8)
    drawn, values, seen = bring_parts(photo, heatmap, window, (90, 150), 150)
    np.testing.assert_allclose(values, bring_back(heatmap, (90, 150), window))
    assert (seen == (np.arange(150) >= 30) & (np.arange(150) < 120)).all()
    np.testing.assert_allclose(drawn, 77 / 255, atol=1e-6)


def test_a_large_photo_shrinks_and_its_window_with_it() -> None:
    heatmap = np.ones((8, 8), np.float32)
    photo = np.zeros((3000, 1000, 3), np.uint8)
    drawn, values, seen = bring_parts(photo, heatmap, Box(1000, 0, 2000, 1000), (3000, 1000), 300)
    assert drawn.shape == (300, 100, 3)
    assert seen.sum() == 100 * 100
    np.testing.assert_allclose(values[seen], 1, atol=1e-6)
    assert (values[~seen] == 0).all()


def test_without_a_photo_the_map_lies_on_grey() -> None:
    drawn, *_ = bring_parts(None, np.ones((4, 4), np.float32), None, (40, 40), 20)
    assert (drawn == 0.5).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9000), (30, 20)])
def test_the_longer_side_has_the_length_asked_for(size: tuple[int, int]) -> None:
    fitted = fit(size, 200)
    assert max(fitted) == 200
    assert min(fitted) >= 1
