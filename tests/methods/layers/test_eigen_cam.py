"""Eigen-CAM against the eigenvectors of a covariance matrix."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.core.inside import Tensors
from onnxplain.methods import EigenCAM
from onnxplain.methods.layers.reduce import eigen_cam
from tests.helpers.inside import (
    explain,
    make_quantised,
    make_simulated,
    open_convnet,
    open_model,
)
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)
VALUES = np.random.default_rng(0).normal(size=(3, 6, 5, 4)).astype(np.float32)


def project(values: np.ndarray) -> np.ndarray:
    """Project values (C, h, w) on the direction of their largest variance."""
    rows = np.array([values[:, r, c] for r, c in np.ndindex(*values.shape[1:])], float)
    centred = rows - rows.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    map_ = (centred @ directions[:, -1]).reshape(values.shape[1:])
    return map_ if abs(map_.max()) >= abs(map_.min()) else -map_


def test_maps_are_projections_on_the_first_eigenvector_of_the_covariance() -> None:
    np.testing.assert_allclose(eigen_cam(VALUES), [project(a) for a in VALUES], atol=1e-5)


def test_value_of_largest_magnitude_is_positive() -> None:
    for values in (VALUES, -VALUES):
        maps = eigen_cam(values)
        assert (maps.max(axis=(1, 2)) >= -maps.min(axis=(1, 2))).all()
    np.testing.assert_allclose(eigen_cam(-VALUES), eigen_cam(VALUES), atol=1e-5)


def test_more_channels_than_positions_and_fewer() -> None:
    for shape in ((1, 9, 2, 2), (1, 1, 3, 3)):
        values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        np.testing.assert_allclose(eigen_cam(values), [project(values[0])], atol=1e-5)


def test_map_is_one_for_all_classes_and_takes_no_gradient() -> None:
    first, second = explain(open_convnet(SIZE, 5), EigenCAM(), [photos(1, SIZE)[0]] * 2, [0, 4])
    np.testing.assert_array_equal(first.heatmap, second.heatmap)
    assert (first.details["forwards"], first.details["backwards"]) == (1, 0)


def test_constant_layer_has_an_empty_map() -> None:
    blank = np.zeros((1, *SIZE, 3), np.float32)
    (result,) = explain(open_convnet(SIZE, 5), EigenCAM(), blank, [0])
    assert result.details["empty"]
    assert not result.heatmap.any()


@pytest.mark.parametrize("make", [make_quantised, make_simulated])
def test_quantised_networks_have_maps(make) -> None:
    classifier = open_model(make(SIZE), spec_of(size=SIZE, classes=3))
    images = photos(2, SIZE)
    results = explain(classifier, EigenCAM(), images, [0, 1])
    wants = Tensors(classifier.find_layers("last"), gradients=False)
    values = classifier.look_inside(images, np.array([0, 1]), wants).layers[0][0]
    for result, a in zip(results, values, strict=True):
        np.testing.assert_allclose(result.coarse, project(a), atol=1e-4)
        assert result.details["layers"][0]["tensor"] == "real"
