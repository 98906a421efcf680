import numpy as np
from scipy import stats

import onnxplain
from onnxplain import metrics
from onnxplain.metrics.heatmaps.chance import draw_random_heatmap

SIZE = (20, 24)


def always_same(images):
    return np.tile([0.2, 0.5, 0.3], (len(images), 1))


def test_random_heatmap_is_a_method_that_scores_nothing():
    classifier = onnxplain.from_callable(always_same, size=SIZE, n_classes=3)
    image = np.random.default_rng(17).random((*SIZE, 3), np.float32)
    explanation = onnxplain.explain(classifier, image, metrics.RandomHeatmap())
    assert explanation.evaluations == 0
    heatmap = explanation.heatmap
    assert 0 <= heatmap.min() < 0.05 < 0.95 < heatmap.max() < 1


def test_random_values_are_uniform_and_follow_the_seed():
    heatmap = draw_random_heatmap((60, 70), np.random.default_rng(3))
    assert heatmap.dtype == np.float32
    assert stats.kstest(heatmap.ravel(), "uniform").pvalue > 0.01
    again = draw_random_heatmap((60, 70), np.random.default_rng(3))
    np.testing.assert_array_equal(heatmap, again)
