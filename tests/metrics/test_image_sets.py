"""Metrics of a set of images."""

import numpy as np
import pytest

import onnxplain
from onnxplain import metrics
from onnxplain.core.data import Box
from onnxplain.methods import LIME, MP2
from onnxplain.metrics.fills.frechet import frechet_distance
from onnxplain.runtime import from_callable
from tests.helpers.metrics import brightness
from tests.helpers.nets import CurvedGradients, Net, curved

RNG = np.random.default_rng(23)
SIZE = (48, 51)
IMAGE = RNG.random((*SIZE, 3), np.float32)
WEIGHTS = RNG.normal(0, 0.05, (*SIZE, 3, 2)).astype(np.float32)
CURVED = curved(WEIGHTS)
OBJECT = Box(4, 5, 12, 13)


def test_label_bias_pools_images():
    classifier = from_callable(CURVED, size=SIZE, n_classes=2)
    images = [IMAGE, 1 - IMAGE]
    method = LIME(n_samples=20, n_segments=8)
    score = metrics.label_bias(classifier, images, method, top=1)
    assert metrics.label_bias(CURVED, images, method, top=1).value == score.value
    assert score.details["samples"] == 40
    assert 0.5 <= score.value <= 1
    with pytest.raises(ValueError, match="got none"):
        metrics.label_bias(classifier, [], method)


def test_label_bias_uses_the_gradients_of_the_classifier():
    net = Net(CURVED, SIZE, slopes=CurvedGradients(WEIGHTS))
    quick = {"grid": 6, "max_area": 0.3, "chance": 0.01}
    plain, auto = MP2(gain="gradient", **quick), MP2(**quick)
    score = metrics.label_bias(net, [IMAGE], auto)
    assert score.details == metrics.label_bias(net, [IMAGE], plain).details
    assert score.details["samples"] == onnxplain.explain(net, IMAGE, plain).evaluations


def test_each_array_of_label_bias_has_its_own_draws():
    """Two flat images have the same superpixels: equal draws would give the same labels."""
    seen = []

    def record_means(images):
        seen.append(images.mean(axis=(1, 2, 3)))
        return CURVED(images)

    net = Net(record_means, SIZE)
    method = LIME(n_samples=20, n_segments=8)
    metrics.label_bias(net, [np.full_like(IMAGE, 0.9)] * 2, method, fill="black")
    first, second = np.split(np.concatenate(seen), 2)
    assert not np.allclose(first, second)


def test_filled_frechet_is_the_distance_of_the_features():
    images = RNG.random((20, 16, 18, 3), np.float32)  # more than are held at a time
    filled = images.copy()
    filled[:, 4:12, 5:13] = 1

    def features(batch):
        return batch[:, 3:9, 4:9].mean(axis=(1, 3))

    score = metrics.filled_frechet(
        brightness, list(images), features, boxes=[[OBJECT]] * 20, fill="white"
    )
    expected = frechet_distance(features(images), features(filled))
    assert score.value == pytest.approx(expected, rel=1e-4)
    assert score.details == {"images": [20, 20]}
    with pytest.raises(ValueError, match="got none"):
        metrics.filled_frechet(brightness, [], features, boxes=[])
    with pytest.raises(ValueError, match="zip"):
        metrics.filled_frechet(brightness, list(images), features, boxes=[[OBJECT]])


def test_images_of_a_set_must_have_one_size():
    images, boxes = [IMAGE, IMAGE[:, :-1]], [[OBJECT]] * 2
    with pytest.raises(ValueError, match="have one size"):
        metrics.filled_frechet(brightness, images, lambda x: x.mean(axis=(1, 2)), boxes=boxes)


def test_each_array_of_filled_frechet_has_its_own_draws():
    drawn = []

    def features(images):
        drawn.append(images[:, 4:12, 5:13])
        return images.mean(axis=(1, 2))

    images, boxes = [np.full_like(IMAGE, 0.5)] * 2, [[OBJECT]] * 2
    metrics.filled_frechet(brightness, images, features, boxes=boxes, fill="uniform-noise")
    first, second = drawn[1]
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.5
