from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from onnxplain.fills import Blur
from tests.helpers.fills import make_photo


@pytest.mark.parametrize("sigma", [2.0, 10.0])
def test_blur_equals_scipy(sigma: float) -> None:
    image = make_photo()
    expected = scipy.ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0))
    picture = Blur(sigma=sigma).prepare(image, np.random.default_rng(0))
    np.testing.assert_allclose(picture, expected, atol=1e-6)
