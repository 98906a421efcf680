"""Answers of any framework become arrays."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.runtime import from_callable
from onnxplain.runtime.network import convert_to_array
from tests.helpers.specs import SIZE, photos


def test_lists_and_arrays_are_answers() -> None:
    assert convert_to_array([[1, 2]]).tolist() == [[1, 2]]
    given = np.zeros((2, 3))
    assert convert_to_array(given) is given


def test_a_tensor_with_a_gradient_is_an_answer() -> None:
    torch = pytest.importorskip("torch")
    weight = torch.ones(3, requires_grad=True)
    classifier = from_callable(
        lambda images: torch.from_numpy(images).mean((1, 2)) * weight, size=SIZE, n_classes=3
    )
    images = photos(2)
    np.testing.assert_allclose(classifier.scores(images), images.mean((1, 2)), rtol=1e-5)
