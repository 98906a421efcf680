import numpy as np
import pytest
from scipy import stats

from onnxplain.metrics.fills.neutrality import FillScore, entropy
from tests.helpers.metrics import BOX_IMAGE, brightness, judge_with_net
from tests.helpers.nets import Picture


@pytest.mark.parametrize("level", [0.1, 0.6])
def test_score_of_a_fill_is_that_of_its_picture_alone(level):
    score = judge_with_net(FillScore(fill=Picture(level)), brightness, BOX_IMAGE, None)
    assert score.value == pytest.approx(level, abs=1e-6)
    assert score.details["top"] == int(level > 0.5)
    expected = -level * np.log(level) - (1 - level) * np.log(1 - level)
    assert score.details["entropy"] == pytest.approx(expected, abs=1e-5)


def test_entropy_equals_scipys():
    probabilities = np.random.default_rng(4).dirichlet(np.full(20, 0.3))
    probabilities[3] = 0
    probabilities /= probabilities.sum()
    assert entropy(probabilities) == pytest.approx(stats.entropy(probabilities), abs=1e-12)
