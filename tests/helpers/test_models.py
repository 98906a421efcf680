"""The tiny graphs give the scores that their docstrings promise."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from tests.helpers import models

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3)).astype(np.float32) / 255
CODING = {
    "rgb": {},
    "bgr": {"colour": "bgr"},
    "nhwc": {"layout": "nhwc"},
    "caffe": {"colour": "bgr", "range": (0, 255), "mean": (104, 117, 123), "std": (58, 57, 56)},
    "uint8": {"layout": "nhwc", "dtype": "uint8", "range": (0, 255)},
    "tf": {"layout": "nhwc", "range": (-1, 1)},
}


def run(proto: onnx.ModelProto, **feeds: NDArray[np.generic]) -> NDArray[np.float32]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, feeds)
    return answer


@pytest.mark.parametrize("head", ["logits", "probabilities", "sigmoid"])
@pytest.mark.parametrize("coding", CODING)
def test_additive_nets_of_all_codings_give_the_same_scores(coding: str, head: str) -> None:
    w = models.weights((8, 6))
    proto = models.additive(w, head=head, **CODING[coding])
    scores = run(proto, image=models.encode(IMAGES, **CODING[coding]))
    np.testing.assert_allclose(scores, models.additive_scores(w, IMAGES, head), atol=2e-6)


@pytest.mark.parametrize("opset", [9, 13, 17, 21])
def test_additive_runs_at_old_and_new_opsets(opset: int) -> None:
    w = models.weights((8, 6))
    scores = run(models.additive(w, opset=opset), image=models.encode(IMAGES))
    np.testing.assert_allclose(scores, models.additive_scores(w, IMAGES), atol=2e-6)


def test_max_of_regions_returns_the_brightest_pixel_of_each_quarter() -> None:
    scores = run(models.max_of_regions((8, 6)), image=models.encode(IMAGES))
    grey = IMAGES.mean(axis=3)
    expected = [grey[:, r : r + 4, c : c + 3].max(axis=(1, 2)) for r in (0, 4) for c in (0, 3)]
    np.testing.assert_allclose(scores, np.stack(expected, axis=1), atol=1e-6)


def test_constant_ignores_the_image() -> None:
    scores = run(models.constant((8, 6), [1.0, -2.0]), image=models.encode(IMAGES))
    np.testing.assert_array_equal(scores, [[1, -2]] * 3)


def test_mean_inpainter_paints_the_mean_of_the_known_pixels() -> None:
    hole = np.zeros((3, 1, 8, 6), np.float32)
    hole[:, :, 2:4] = 1
    painted = run(models.inpainter("mean"), image=models.encode(IMAGES), mask=hole)
    known = np.delete(IMAGES, [2, 3], axis=1)
    np.testing.assert_allclose(painted[:, :, 2, 0], known.mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_array_equal(painted[:, :, 5], models.encode(IMAGES)[:, :, 5])
