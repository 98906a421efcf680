import numpy as np
import pytest

from onnxplain.core.data import make_rng
from onnxplain.methods import RISE
from tests.helpers.nets import Net, Picture, additive, curved, explain_image
from tests.reference import methods as reference

RNG = np.random.default_rng(2)
IMAGE = RNG.random((24, 31, 3), np.float32)
SHAPE = IMAGE.shape[:2]


@pytest.mark.parametrize("normalise", ["coverage", "expectation"])
def test_rise_equals_the_plain_loops(normalise):
    weights = (RNG.standard_normal((*SHAPE, 3, 2)) * 0.1).astype(np.float32)
    net = Net(curved(weights), SHAPE)
    method = RISE(n_masks=80, grid=5, p_keep=0.4, normalise=normalise)
    outcome = explain_image(net, method, Picture(0.5), IMAGE)
    rng = make_rng(0, "photo", "rise")
    kept = (rng.random((80, 5, 5), np.float32) < 0.4).astype(np.uint8)
    offsets = rng.integers(0, [5, 7], (80, 2))
    expected = reference.rise(
        lambda x: float(net.function(x[None])[0, 1]),
        IMAGE,
        np.full_like(IMAGE, 0.5),
        kept,
        offsets,
        coverage=normalise == "coverage",
        p_keep=0.4,
    )
    np.testing.assert_allclose(outcome.values[0].heatmap, expected, atol=1e-5)
    assert outcome.evaluations == 80


def test_rise_of_a_constant_score_is_that_score_at_every_pixel():
    net = Net(lambda x: np.tile([[0.3, 0.7]], (len(x), 1)), SHAPE)
    heatmap = explain_image(net, RISE(n_masks=50), Picture(), IMAGE).values[0].heatmap
    np.testing.assert_allclose(heatmap, 0.7, atol=1e-6)


def test_rise_on_an_additive_net_peaks_in_the_only_region_that_matters():
    weights = np.zeros((*SHAPE, 3), np.float32)
    weights[4:10, 20:27] = 1 / (6 * 7 * 3)
    heatmap = (
        explain_image(Net(additive(weights), SHAPE), RISE(n_masks=2000), Picture(), IMAGE)
        .values[0]
        .heatmap
    )
    peak = np.unravel_index(heatmap.argmax(), SHAPE)
    assert 4 <= peak[0] < 10
    assert 20 <= peak[1] < 27
