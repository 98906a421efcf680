import numpy as np
import pytest
from scipy.linalg import sqrtm

from onnxplain.metrics.fills.frechet import frechet_distance

RNG = np.random.default_rng(21)


def test_frechet_distance_equals_the_formula_with_a_matrix_root():
    first, second = RNG.normal(size=(40, 6)), RNG.normal(0.5, 2, size=(50, 6)) @ np.eye(6)[::-1]
    c1, c2 = np.cov(first.T), np.cov(second.T)
    apart = ((first.mean(0) - second.mean(0)) ** 2).sum()
    expected = apart + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_shifted_features_is_the_squared_shift():
    features = RNG.normal(size=(30, 4))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + np.array([3, 0, 0, 4])) == pytest.approx(25)
    assert frechet_distance(features[:3], features[:3]) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="two rows"):
        frechet_distance(features, features[:1])


def test_features_must_be_finite():
    with pytest.raises(ValueError, match="NaN or infinite"):
        frechet_distance([[0.0, 1.0], [1.0, np.nan]], [[0.0, 1.0], [1.0, 1.0]])
