"""Maps from values and gradients, against plain loops."""

from __future__ import annotations

import numpy as np

from onnxplain.methods.layers import reduce

RNG = np.random.default_rng(0)
A, G = (RNG.normal(size=(3, 4, 5, 6)).astype(np.float32) for _ in range(2))


def test_grad_cam_weighs_each_channel_by_its_mean_gradient() -> None:
    expected = np.zeros((3, 5, 6))
    for n in range(3):
        for c in range(4):
            expected[n] += G[n, c].astype(float).mean() * A[n, c]
    np.testing.assert_allclose(reduce.grad_cam(A, G), expected, atol=1e-6)


def test_maps_are_enlarged_with_the_centres_of_cells_at_half_integers() -> None:
    coarse = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)
    places = np.clip((np.arange(8) + 0.5) / 4 - 0.5, 0, 1)  # of pixels, in cells
    expected = 2 * places[:, None] + places[None, :]
    np.testing.assert_allclose(reduce.enlarge(coarse, (8, 8)), expected, atol=1e-6)
