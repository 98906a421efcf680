import numpy as np
import pytest

from onnxplain.fills import LocalMean, Telea, UniformNoise
from onnxplain.metrics.heatmaps.curves import Deletion, Insertion
from onnxplain.metrics.heatmaps.neutral import NEUTRAL_FILLS, NeutralDeletion, NeutralInsertion
from onnxplain.registry import get_methods
from tests.helpers.metrics import judge_with_net
from tests.helpers.nets import curved

RNG = np.random.default_rng(6)
SIZE = (13, 17)
IMAGE = RNG.random((*SIZE, 3), np.float32)
HEATMAP = RNG.normal(size=SIZE).astype(np.float32)
CURVED = curved(RNG.normal(0, 0.3, (*SIZE, 3, 2)).astype(np.float32))


@pytest.mark.parametrize(
    ("neutral", "plain"), [(NeutralDeletion, Deletion), (NeutralInsertion, Insertion)]
)
def test_neutral_curve_is_the_mean_of_the_curves_with_each_fill(neutral, plain):
    score = judge_with_net(neutral(step=40), CURVED, IMAGE, HEATMAP)
    each = {
        fill.name: judge_with_net(plain(step=40, fill=fill), CURVED, IMAGE, HEATMAP)
        for fill in (UniformNoise(), LocalMean(), Telea())
    }
    assert score.value == pytest.approx(np.mean([one.value for one in each.values()]))
    assert score.details["by_fill"] == pytest.approx(
        {name: one.value for name, one in each.items()}
    )
    curves = [one.details["curve"] for one in each.values()]
    np.testing.assert_allclose(score.details["curve"], np.mean(curves, axis=0), atol=1e-6)
    assert len({round(one.value, 4) for one in each.values()}) == 3
    assert neutral(step=40).evaluations(SIZE) == 3 * plain(step=40).evaluations(SIZE)


def test_neutral_fills_are_no_methods_default():
    assert not {method.usual_fill for method in get_methods().values()} & set(NEUTRAL_FILLS)
