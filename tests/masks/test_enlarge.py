"""Cells become pixels by linear maps, and gradients come back by their adjoints."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.transform
from hypothesis import given
from hypothesis import strategies as st

from onnxplain.image import resize
from onnxplain.masks.enlarge import Enlargement, find_nearest_cells, make_bilinear_matrix
from onnxplain.masks.grids import CellMasks

RNG = np.random.default_rng(0)


@given(st.integers(1, 40), st.integers(1, 300))
def test_the_nearest_cell_holds_the_pixels_centre(cells: int, pixels: int) -> None:
    centres = (np.arange(pixels) + 0.5) / pixels * cells
    index = find_nearest_cells(cells, pixels)
    assert (index <= centres + 1e-9).all()
    assert (centres - 1e-9 <= index + 1).all()


def test_nearest_enlargement_equals_cell_masks() -> None:
    cells = RNG.random((2, 4, 4), np.float32)
    enlarged = Enlargement.nearest(4, (9, 14)).pixels(cells.astype(np.float64))
    np.testing.assert_array_equal(enlarged, CellMasks(cells, (9, 14)).render(0, 2))


def test_bilinear_enlargement_equals_resizing() -> None:
    cells = RNG.random((4, 4))
    enlarged = Enlargement.bilinear(4, (9, 14)).pixels(cells)
    # OpenCV keeps its weights in float32.
    np.testing.assert_allclose(enlarged, resize(cells, (9, 14)), atol=1e-6)


@pytest.mark.parametrize(
    ("cells", "pixels"), [(1, 5), (2, 9), (5, 5), (7, 224), (7, 256), (66, 224)]
)
@pytest.mark.parametrize("border", ["edge", "mirror"])
def test_bilinear_matrices_equal_scikit_image_at_both_borders(cells, pixels, border) -> None:
    values = np.random.default_rng(0).random((cells, cells))
    mode = {"edge": "edge", "mirror": "reflect"}[border]
    expected = skimage.transform.resize(
        values, (pixels, pixels), order=1, mode=mode, anti_aliasing=False
    )
    matrix = make_bilinear_matrix(cells, pixels, border)
    np.testing.assert_allclose(matrix @ values @ matrix.T, expected, atol=1e-12)


@pytest.mark.parametrize("enlarge", [Enlargement.nearest, Enlargement.bilinear])
def test_gathering_gradients_is_the_adjoint_of_enlarging(enlarge) -> None:
    enlargement = enlarge(4, (9, 14))
    cells, pixels = RNG.random((4, 4)), RNG.random((9, 14))
    left = (enlargement.pixels(cells) * pixels).sum()
    assert left == pytest.approx((cells * enlargement.cells(pixels)).sum(), rel=1e-12)
