"""Guided Grad-CAM is the product of its two parts."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import onnxplain
from onnxplain.methods import GradCAM, GuidedBackprop, GuidedGradCAM
from tests.helpers import models
from tests.helpers.inside import explain, open_convnet, open_model
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)


@pytest.mark.parametrize("channels", ["sum", "max-abs", "l2", "sum-abs"])
@pytest.mark.parametrize("layer", ["last", "stage:1"])
def test_map_is_guided_backpropagation_times_grad_cam(channels: str, layer: str) -> None:
    """Grad-CAM is never below 0, so colours may be joined before or after the product."""
    classifier, images, targets = open_convnet(SIZE, 5), photos(3, SIZE), (1, 3, 4)
    ours, cams, guided = (
        explain(classifier, method, images, targets)
        for method in (
            GuidedGradCAM(channels=channels, layer=layer),
            GradCAM(layer=layer),
            GuidedBackprop(channels=channels),
        )
    )
    assert any(cam.heatmap.any() for cam in cams)
    for own, cam, signal in zip(ours, cams, guided, strict=True):
        np.testing.assert_allclose(own.heatmap, cam.heatmap * signal.heatmap, atol=1e-6)
        np.testing.assert_allclose(own.coarse, cam.coarse, atol=1e-7)
        assert own.details["rules"] == "guided"
        assert (own.details["forwards"], own.details["backwards"]) == (2, 2)
        assert own.details["layers"] == cam.details["layers"]


def test_activations_without_a_published_rule_can_be_refused() -> None:
    model = models.convnet(SIZE)
    model.graph.node[1].CopyFrom(helper.make_node("Elu", ["c1"], ["r1"], name="bend"))
    classifier = open_model(model, spec_of(size=SIZE, classes=5))
    (result,) = explain(classifier, GuidedGradCAM(), photos(1, SIZE), [0])
    assert np.isfinite(result.heatmap).all()
    with pytest.raises(onnxplain.OnnxplainError, match=r"guided-grad-cam: .*bend"):
        explain(classifier, GuidedGradCAM(extended=False), photos(1, SIZE), [0])
