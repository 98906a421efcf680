"""Masks composed by graphs on the device give the scores of host composition."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain.core.protocols import Part
from onnxplain.runtime import load_classifier
from onnxplain.runtime.classifier import OnnxClassifier, cut_parts
from onnxplain.runtime.device import count_cuda_devices
from tests.helpers import models
from tests.helpers.specs import CONVENTIONS, SIZE, classifier_of, photos, spec_of
from tests.runtime.composing.test_host import families


def both(convention: dict[str, Any], **options: Any) -> tuple[OnnxClassifier, OnnxClassifier]:
    channels = 1 if convention.get("colour") == "grey" else 3
    made = models.additive(models.weights(SIZE)[..., :channels], **convention)
    spec = spec_of(**convention)
    return classifier_of(made, spec, **options), classifier_of(
        made, spec, on_device=True, **options
    )


def part_of(classifier: OnnxClassifier, family: str, start: int, stop: int, seed: int = 1) -> Part:
    image, fill = photos(2, seed=seed)
    return Part(classifier.planes(image, fill), families(9)[family], start, stop)


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize("family", families())
def test_graph_and_host_composition_agree(family: str, convention: dict[str, Any]) -> None:
    host, graph = both(convention)
    expected = host.masked_scores([part_of(host, family, 1, 9)])
    got = graph.masked_scores([part_of(graph, family, 1, 9)])
    # A value that lies at a half may be rounded the other way: one step of one pixel. Whether
    # it does depends on the last bit of base + m * delta, which NumPy and MLAS may differ in.
    step = {"uint8": 2 / 255, "float16": 2**-10}.get(convention.get("dtype", ""), 1e-5)
    np.testing.assert_allclose(got, expected, rtol=0, atol=step)


@pytest.mark.parametrize("batch_size", [2, 5, 16])
def test_parts_of_all_families_and_images_mix_in_one_call(batch_size: int) -> None:
    host, graph = both({}, batch_size=batch_size)
    picks = [("patch", 0, 3), ("grid", 2, 4), ("segment", 1, 6), ("cell", 4, 5), ("rank", 0, 4)]
    for with_arrays in (False, True):
        chosen = picks + [("array", 3, 5)] * with_arrays
        got, expected = (
            one.masked_scores([part_of(one, *pick, seed=k) for k, pick in enumerate(chosen)])
            for one in (graph, host)
        )
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_fixed_batch_is_padded() -> None:
    w = models.weights(SIZE)
    made, spec = models.additive(w, batch=4), spec_of()
    graph = classifier_of(made, spec, batch_size=4, fixed=4, on_device=True)
    host = classifier_of(models.additive(w), spec)
    got = graph.masked_scores([part_of(graph, "grid", 0, 7)])
    np.testing.assert_allclose(
        got, host.masked_scores([part_of(host, "grid", 0, 7)]), rtol=0, atol=1e-5
    )


def test_threads_do_not_share_device_buffers() -> None:
    _, graph = both({}, batch_size=3)
    whole = graph.masked_scores([part_of(graph, "cell", 0, 9)])

    def one(start: int) -> Any:
        return graph.masked_scores([part_of(graph, "cell", start, start + 3)])

    starts = [0, 3, 6] * 10
    with ThreadPoolExecutor(4) as pool:
        for start, got in zip(starts, pool.map(one, starts), strict=True):
            np.testing.assert_array_equal(got, whole[start : start + 3])


def test_cut_counts_masks_through_all_parts() -> None:
    masks = families(9)["cell"]
    parts = [Part("a", masks, 2, 5), Part("b", masks, 0, 1), Part("c", masks, 4, 9)]
    flat = [(part.planes, i) for part in parts for i in range(part.start, part.stop)]
    for start in range(len(flat)):
        for stop in range(start, len(flat) + 1):
            got = cut_parts(parts, start, stop)
            assert [(p.planes, i) for p in got for i in range(p.start, p.stop)] == flat[start:stop]
            assert all(p.start < p.stop for p in got)


@pytest.mark.gpu
@pytest.mark.skipif(not count_cuda_devices(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", families(size=(32, 32)))
def test_graphs_on_a_gpu_agree_with_the_cpu(tmp_path: Path, family: str) -> None:
    path = models.save(models.convnet((32, 32)), tmp_path / "net.onnx")
    image, fill = photos(2, (32, 32))
    masks = families(9, (32, 32))[family]
    scores = []
    for device in ("cpu", "cuda"):
        classifier = load_classifier(path, device=device, flags={"preprocessing": "unit"})
        assert classifier.provenance["device"] == device
        part = Part(classifier.planes(image, fill), masks, 0, 9)
        scores.append(classifier.masked_scores([part]))
    np.testing.assert_allclose(scores[1], scores[0], rtol=5e-3, atol=5e-3)  # TF32
