import numpy as np
import pytest

from onnxplain.core.data import Case, make_rng
from onnxplain.engine.run import Job, run
from onnxplain.methods import FIDO, LIME, MP
from onnxplain.metrics.stability.label_bias import LabelBias, record_labels
from tests.helpers.metrics import brightness
from tests.helpers.nets import Net, Picture

SIZE = (16, 18)
IMAGE = np.random.default_rng(21).random((*SIZE, 3), np.float32)


def test_labels_come_from_the_methods_own_evaluations():
    net = Net(brightness, SIZE)
    case = Case("photo", IMAGE, 1)
    method = LIME(n_samples=30, n_segments=6)
    flows = [method.flow(case, make_rng(0)), record_labels(method.flow(case, make_rng(0)))]
    plain, both = run(net, [Job((case,), (flow,), Picture(0.0)) for flow in flows])
    (attribution, labels) = both.values[0]
    np.testing.assert_allclose(attribution.heatmap, plain.values[0].heatmap, atol=1e-6)
    assert (len(labels), both.evaluations) == (30, 30)
    assert set(labels) <= {0, 1}
    assert labels[0] == int(IMAGE.mean() > 0.5)


@pytest.mark.parametrize("method", [MP(grid=4, n_steps=3), FIDO(grid=4, n_steps=3, n_samples=4)])
def test_samples_that_a_method_composes_itself_have_labels(method):
    case = Case("photo", IMAGE, 1)
    flow = record_labels(method.flow(case, make_rng(0)))
    (outcome,) = run(Net(brightness, SIZE), [Job((case,), (flow,), Picture(0.0))])
    assert outcome.error is None
    assert len(outcome.values[0][1]) == outcome.evaluations > 0


def test_label_bias_is_the_share_of_the_most_common_classes():
    score = LabelBias(top=2).judge([5, 5, 5, 9, 9, 2, 1, 1])
    assert score.value == pytest.approx(5 / 8)
    assert score.details["classes"] == [5, 1, 9, 2]
    assert score.details["counts"] == [3, 2, 2, 1]
    even = LabelBias(top=1).judge(range(10))
    assert even.value == pytest.approx(0.1)
    assert even.details["entropy"] == pytest.approx(np.log(10))
    with pytest.raises(ValueError, match="got none"):
        LabelBias().judge([])
