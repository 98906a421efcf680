"""Maps from values and gradients, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

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


def loop(combine) -> np.ndarray:
    """Apply ``combine(a, g)`` to each image, values and gradients of shape (C, h, w) in float64."""
    pairs = zip(A.astype(float), G.astype(float), strict=True)
    return np.array([combine(a, g) for a, g in pairs])


def hires(a, g):
    return sum(a[c] * g[c] for c in range(len(a)))


def xgrad(a, g):
    return sum((a[c] * g[c]).sum() / a[c].sum() * a[c] for c in range(len(a)))


def layer(a, g):
    return sum(np.where(g[c] > 0, g[c], 0) * a[c] for c in range(len(a)))


def elementwise(a, g):
    return sum(np.maximum(a[c] * g[c], 0) for c in range(len(a)))


def plus_plus(a, g):
    """Equation 19 of Grad-CAM++, one position at a time."""
    total = np.zeros(a.shape[1:])
    for c in range(len(a)):
        weight = 0.0
        for u in np.ndindex(*a.shape[1:]):
            slope = g[c][u]
            below = 2 * slope**2 + a[c].sum() * slope**3
            if slope > 0:
                weight += slope**2 / (below + (1e-6 if below >= 0 else -1e-6)) * slope
        total += weight * a[c]
    return total


@pytest.mark.parametrize(
    ("ours", "plain"),
    [
        (reduce.hires_cam, hires),
        (reduce.xgrad_cam, xgrad),
        (reduce.layer_cam, layer),
        (reduce.grad_cam_elementwise, elementwise),
        (lambda a, g: reduce.grad_cam_plus_plus(a, g)[:, 0], plus_plus),
    ],
)
def test_maps_are_those_of_plain_loops(ours, plain) -> None:
    np.testing.assert_allclose(ours(A, G), loop(plain), rtol=1e-5, atol=1e-5)


def test_crossed_denominators_of_grad_cam_plus_plus_are_counted() -> None:
    values = np.full((1, 1, 1, 2), -10, np.float32)
    grads = np.array([[[[0.05, 0.5]]]], np.float32)  # 2 G^2 - 20 G^3 changes its sign at 0.1
    maps = reduce.grad_cam_plus_plus(values, grads)
    np.testing.assert_array_equal(maps[0, 1], [[0, 1]])
    assert np.isfinite(maps).all()


def test_divisors_move_away_from_zero_and_keep_their_sign() -> None:
    moved = reduce.stabilise(np.array([-1.0, -1e-9, 0.0, 2.0]), 0.5)
    np.testing.assert_allclose(moved, [-1.5, -0.5, 0.5, 2.5], atol=1e-8)


@pytest.mark.framework
@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("GradCAM", reduce.grad_cam),
        ("HiResCAM", reduce.hires_cam),
        ("XGradCAM", reduce.xgrad_cam),
        ("LayerCAM", reduce.layer_cam),
        ("GradCAMElementWise", reduce.grad_cam_elementwise),
        ("GradCAMPlusPlus", lambda a, g: reduce.grad_cam_plus_plus(a, g)[:, 0]),
    ],
)
def test_maps_are_those_of_the_program_grad_cam(name: str, ours) -> None:
    """Version 1.5.7; as after a rectifier, since it does not look at signs of sums."""
    cams = pytest.importorskip("pytorch_grad_cam")
    values = np.maximum(A, 0)

    class Bare(getattr(cams, name)):
        def __init__(self) -> None:
            self.uses_gradients = True

        def __del__(self) -> None:
            pass

    theirs = Bare().get_cam_image(None, None, None, values, G, False)
    signed = ours(values, G)
    np.testing.assert_allclose(signed, np.asarray(theirs), rtol=1e-4, atol=1e-5)
