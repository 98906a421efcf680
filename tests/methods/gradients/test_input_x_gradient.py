"""Input times gradient where its sum is known."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

import onnxplain
from onnxplain import Black, InputXGradient
from tests.helpers import models
from tests.helpers.inside import open_model
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)


@pytest.mark.parametrize("target", [1, 2, 3])
def test_sum_is_the_logit_of_a_net_without_biases(target: int) -> None:
    """Rectifiers, max-pooling and means are homogeneous: sum x dz/dx = z, if the fill is 0."""
    model = models.convnet(SIZE)
    for stored in model.graph.initializer:
        if stored.name == "b3":
            stored.CopyFrom(numpy_helper.from_array(np.zeros(5, np.float32), "b3"))
    classifier = open_model(model, spec_of(size=SIZE, classes=5))
    photo = photos(1, SIZE)[0]
    found = onnxplain.explain(classifier, photo, InputXGradient(), target=target, fill=Black())
    z = classifier.scores(photo[None])[0, target]
    assert found.heatmap.sum() == pytest.approx(z, rel=1e-4)


def test_usual_fill_is_the_zero_of_normalised_input() -> None:
    """With the mean of the dataset as fill, it is the normalised input times its own gradient."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    model = models.convnet(SIZE)
    classifier = open_model(model, spec_of(size=SIZE, classes=5, mean=mean, std=std))
    plain = open_model(model, spec_of(size=SIZE, classes=5))  # takes what the graph takes
    photo = photos(1, SIZE)[0]
    found = onnxplain.explain(classifier, photo, InputXGradient(), target=3)
    assert found.fill == "dataset-mean"
    inside = ((photo - np.float32(mean)) / np.float32(std))[None].astype(np.float32)
    _, grads = plain.gradients().score_grads(inside, np.array([3]), "raw")
    np.testing.assert_allclose(found.heatmap, (inside * grads)[0].sum(axis=2), atol=2e-5)
