"""Score-CAM against one masked photo at a time."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, ValueInfoProto

import onnxplain
from onnxplain.engine.settle import settle_method
from onnxplain.fills import DatasetMean
from onnxplain.methods import ScoreCAM
from onnxplain.methods.layers.reduce import enlarge
from tests.conftest import shared
from tests.helpers import models
from tests.helpers.inside import (
    add_softmax,
    explain,
    make_quantised,
    make_simulated,
    open_model,
)
from tests.helpers.nets import Picture
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)
FILL = 0.25


def run(model: ModelProto, image: np.ndarray, name: str) -> np.ndarray:
    """Run an unchanged model in ONNX Runtime and return one of its tensors."""
    changed = ModelProto()
    changed.CopyFrom(model)
    if name not in {value.name for value in changed.graph.output}:
        changed.graph.output.append(ValueInfoProto(name=name))
    session = ort.InferenceSession(changed.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([name], {"image": image.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]


def compute_map(
    model: ModelProto, image: np.ndarray, target: int, layer: str, z: str = "scores"
) -> np.ndarray:
    """Algorithm 1 of the paper, channel by channel."""
    values, scores = run(model, image, layer), []
    for channel in values:
        large = enlarge(channel, SIZE).astype(float)
        span = large.max() - large.min()
        kept = (large - large.min()) / span if span else np.zeros_like(large)
        masked = image * kept[..., None] + FILL * (1 - kept[..., None])
        scores.append(float(run(model, masked, z)[target]))
    weights = np.exp(np.array(scores) - max(scores))
    weights /= weights.sum()
    return sum(weight * channel for weight, channel in zip(weights, values, strict=True))


@pytest.mark.parametrize("head", ["logits", "probabilities"])
@pytest.mark.parametrize("layer", ["last", "stage:1"])
def test_map_is_that_of_the_paper(head: str, layer: str) -> None:
    plain = models.convnet(SIZE)
    model = plain if head == "logits" else add_softmax(plain)
    classifier = open_model(model, spec_of(size=SIZE, classes=5, head=head))
    images, targets = photos(2, SIZE), (3, 0)
    results = explain(classifier, ScoreCAM(layer=layer), images, targets, Picture(FILL))
    for result, image, target in zip(results, images, targets, strict=True):
        expected = compute_map(plain, image, target, "r2" if layer == "last" else "r1")
        np.testing.assert_allclose(result.coarse, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            result.heatmap, enlarge(np.maximum(result.coarse, 0), SIZE), atol=1e-6
        )
        assert result.details["forwards"] == 1 + (8 if layer == "last" else 4)


@pytest.mark.parametrize("make", [make_quantised, make_simulated])
def test_quantised_networks_have_maps(make) -> None:
    model = make(SIZE)
    classifier = open_model(model, spec_of(size=SIZE, classes=3))
    image = photos(1, SIZE)[0]
    (result,) = explain(classifier, ScoreCAM(), [image], [1], Picture(FILL))
    # Rounding to 8 bits can turn a last digit of the masked photo into a step.
    expected = compute_map(model, image, 1, "real")
    np.testing.assert_allclose(result.coarse, expected, atol=0.01 * abs(expected).max())


def test_count_is_known_before_the_first_query_and_targets_share_it() -> None:
    classifier = open_model(models.convnet(SIZE), spec_of(size=SIZE, classes=5))
    method, _ = settle_method(ScoreCAM(), classifier)
    assert method.evaluations(SIZE) == 1 + 8
    assert ScoreCAM().evaluations(SIZE) == 1
    assert not method.adaptive
    image = photos(1, SIZE)[0]
    first, second = onnxplain.explain_many(classifier, [image], method, target=[1, 2])
    alone = onnxplain.explain(classifier, image, method, target=2)
    assert first.evaluations == second.evaluations == 1 + 8
    assert not np.allclose(first.coarse, second.coarse)
    np.testing.assert_allclose(second.coarse, alone.coarse, rtol=1e-5)


def test_usual_fill_is_zero_after_normalisation() -> None:
    assert ScoreCAM.usual_fill == DatasetMean.name


@pytest.mark.slow
def test_quantised_model_from_tflite_has_maps_of_all_methods_without_gradients() -> None:
    path = shared("models/mobilenet_v1_0.25_128_quant.onnx")
    classifier = onnxplain.load(path, device="cpu", batch_size=1)
    image = photos(1, classifier.size)[0]
    for name in ("eigen-cam", "ablation-cam", "score-cam"):
        result = onnxplain.explain(classifier, image, name)
        assert np.isfinite(result.heatmap).all()
        assert np.ptp(result.coarse) > 0
