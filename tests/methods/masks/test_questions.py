import numpy as np
import pytest

from onnxplain.core.data import Case
from onnxplain.masks.families import ArrayMasks
from onnxplain.methods.masks.questions import ask_fills, ask_slopes, project_slope
from tests.helpers.nets import CurvedGradients, Net, ShiftedWhereRemoved, curved
from tests.reference import driver

RNG = np.random.default_rng(8)
SIZE = (6, 7)
IMAGE = RNG.random((*SIZE, 3), np.float32)
WEIGHTS = (RNG.standard_normal((*SIZE, 3, 2)) * 0.2).astype(np.float32)
CASE = Case("photo", IMAGE, 1)
NET = Net(curved(WEIGHTS), SIZE)


def test_fills_come_in_the_order_of_their_masks():
    masks = ArrayMasks(np.stack([np.full(SIZE, share, np.float32) for share in (0.5, 0, 1)]))
    fills = driver.run(NET, CASE, ask_fills(masks), ShiftedWhereRemoved())
    expected = [np.clip(IMAGE + np.float32(share), 0, 1) for share in (0.5, 0, 1)]
    np.testing.assert_array_equal(fills, expected)


@pytest.mark.parametrize("kind", ["probability", "log-odds"])
def test_the_projected_slope_is_the_derivative_of_the_score_by_each_pixel_of_the_mask(kind):
    fill, mask = np.float32(0.3), RNG.random(SIZE)
    delta = fill - IMAGE

    def score(mask):
        p = NET.function((IMAGE + mask[..., None] * delta)[None])[0, 1]
        return p if kind == "probability" else np.log(p / (1 - p))

    composed = (IMAGE + mask[..., None] * delta).astype(np.float32)[None]
    flow = ask_slopes(composed, kind)
    scores, slopes = driver.run(NET, CASE, flow, None, gradients=CurvedGradients(WEIGHTS))
    assert scores[0] == pytest.approx(score(mask), rel=1e-5)
    by_mask = project_slope(slopes[0], delta)
    step = 1e-5
    for pixel in [(0, 0), (2, 5), (5, 6)]:
        more, less = mask.copy(), mask.copy()
        more[pixel] += step
        less[pixel] -= step
        slope = (score(more) - score(less)) / (2 * step)
        assert by_mask[pixel] == pytest.approx(slope, rel=1e-3, abs=1e-6)
    np.testing.assert_array_equal(project_slope(slopes, delta[None])[0], by_mask)
