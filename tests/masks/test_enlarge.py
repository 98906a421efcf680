import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import resize

from onnxplain.masks.enlarge import Enlarge


def test_bilinear_enlarging_equals_scikit_image():
    cells = np.random.default_rng(0).random((5, 5))
    expected = resize(cells, (20, 33), order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(Enlarge.bilinear(5, (20, 33)).pixels(cells), expected, atol=1e-6)


@given(st.integers(0, 1000), st.sampled_from(["nearest", "bilinear"]))
def test_gathering_gradients_is_the_adjoint_of_enlarging(seed, how):
    rng = np.random.default_rng(seed)
    enlarge = getattr(Enlarge, how)(4, (9, 13))
    cells, pixels = rng.standard_normal((4, 4)), rng.standard_normal((9, 13))
    forth, back = (enlarge.pixels(cells) * pixels).sum(), (cells * enlarge.cells(pixels)).sum()
    assert forth == pytest.approx(back, rel=1e-9, abs=1e-9)
