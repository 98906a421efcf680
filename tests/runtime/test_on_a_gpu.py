"""What needs a real GPU: numbers that kernels compute, against those of the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxplain
from onnxplain.core.protocols import Part
from onnxplain.registry import METHODS
from onnxplain.runtime import OnnxClassifier
from tests.helpers import models
from tests.helpers.gpus import needs_gpu
from tests.helpers.masks import make_families
from tests.helpers.small_methods import make_small
from tests.helpers.specs import photos
from tests.helpers.transformers import make_net_for

SIZE = (32, 32)


def load_pair(folder: Path, name: str = "grad-cam", **options: Any) -> list[OnnxClassifier]:
    """The same classifier, which a method can look into, on the CPU and on the GPU."""
    path = models.save(make_net_for(name, SIZE), folder / "net.onnx")
    return [
        onnxplain.load(path, device=device, preprocessing="unit", **options)
        for device in ("cpu", "cuda")
    ]


@needs_gpu
@pytest.mark.parametrize("kind", ["logit", "log-odds", "probability"])
def test_gradients_agree_with_the_cpu(tmp_path: Path, kind: Any) -> None:
    images, targets = photos(8, SIZE), np.arange(8) % 5
    expected, grads = (
        classifier.gradients().score_grads(images, targets, kind)[1]
        for classifier in load_pair(tmp_path)
    )
    assert np.linalg.norm(grads - expected) <= 1e-3 * np.linalg.norm(expected)


@needs_gpu
def test_the_inpainter_agrees_with_the_cpu() -> None:
    images, masks = photos(4, (64, 64)), np.zeros((4, 64, 64), np.float32)
    masks[:, 20:40, 10:30] = 1
    expected, painted = (
        onnxplain.load_inpainter(device=device).inpaint(images, masks) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(painted, expected, atol=2e-3)


@needs_gpu
def test_pictures_composed_where_they_are_painted_give_the_map_of_the_cpu(tmp_path: Path) -> None:
    image, method = photos(1, SIZE)[0], onnxplain.SP(patch=12, stride=4)
    expected, heatmap = (
        onnxplain.explain(
            classifier,
            image,
            method,
            fill=onnxplain.Inpaint(onnxplain.load_inpainter(device=device)),
        ).heatmap
        for classifier, device in zip(load_pair(tmp_path), ("cpu", "cuda"), strict=True)
    )
    assert np.corrcoef(heatmap.ravel(), expected.ravel())[0, 1] > 0.99


@needs_gpu
@pytest.mark.parametrize("name", sorted(METHODS))
def test_methods_give_the_maps_of_the_cpu(tmp_path: Path, name: str) -> None:
    image = photos(1, SIZE)[0]
    method = make_small(name)
    expected, heatmap = (
        onnxplain.explain(classifier, image, method).heatmap
        for classifier in load_pair(tmp_path, name)
    )
    if np.ptp(expected) > 0:
        assert np.corrcoef(heatmap.ravel(), expected.ravel())[0, 1] > 0.99


@needs_gpu
def test_the_same_seed_gives_the_same_map(tmp_path: Path) -> None:
    _, gpu = load_pair(tmp_path)
    image, method = photos(1, SIZE)[0], make_small("rise")
    maps = [onnxplain.explain(gpu, image, method).heatmap for _ in range(2)]
    np.testing.assert_array_equal(*maps)


@needs_gpu
def test_too_large_a_batch_is_halved(tmp_path: Path) -> None:
    cpu, gpu = load_pair(tmp_path, batch_size=2**20)
    image, fill = photos(2, SIZE)
    masks = make_families(64, SIZE)["grid"]
    scores = gpu.masked_scores([Part(gpu.planes(image, fill), masks, 0, 64)])
    expected = cpu.masked_scores([Part(cpu.planes(image, fill), masks, 0, 64)])
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4)
