"""One number per pixel from three."""

import numpy as np
import pytest

from onnxplain.methods.gradients.channels import join_channels

PIXELS = np.array([[[1.0, -4.0, 2.0], [0.0, 3.0, 4.0]]], np.float32)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("max-abs", [4, 4]),
        ("sum", [-1, 7]),
        ("sum-abs", [7, 7]),
        ("l2", [np.sqrt(21), 5]),
    ],
)
def test_colours_are_joined_as_named(how, expected):
    joined = join_channels(PIXELS, how)
    np.testing.assert_allclose(joined, [expected], rtol=1e-6)
    assert joined.dtype == np.float32
