"""Masks composed by graphs on the device give the scores of host composition."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxplain
from onnxplain.core.protocols import Part
from onnxplain.masks.codes import Codes
from onnxplain.masks.families import GridMasks
from onnxplain.runtime import load_classifier
from onnxplain.runtime.classifier import OnnxClassifier
from onnxplain.runtime.composing.device_composer import DeviceComposer
from onnxplain.runtime.session import NOWHERE, Session
from onnxplain.runtime.tensors import DevicePlace
from tests.helpers import models
from tests.helpers.gpus import needs_gpu
from tests.helpers.masks import CODED_FAMILIES, make_families
from tests.helpers.specs import CONVENTIONS, SIZE, classifier_of, photos, session_of, spec_of


def make_pair(convention: dict[str, Any], **options: Any) -> tuple[OnnxClassifier, OnnxClassifier]:
    """The same classifier twice: composed on the host, and by graphs."""
    channels = 1 if convention.get("colour") == "grey" else 3
    model = models.additive(models.weights(SIZE)[..., :channels], **convention)
    spec = spec_of(**convention)
    return classifier_of(model, spec, **options), classifier_of(
        model, spec, on_device=True, **options
    )


def make_part(
    classifier: OnnxClassifier, family: str, start: int, stop: int, seed: int = 1
) -> Part:
    image, fill = photos(2, seed=seed)
    return Part(classifier.planes(image, fill), make_families(9)[family], start, stop)


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize("family", make_families())
def test_graph_and_host_composition_agree(family: str, convention: dict[str, Any]) -> None:
    host, graph = make_pair(convention)
    expected = host.masked_scores([make_part(host, family, 1, 9)])
    scores = graph.masked_scores([make_part(graph, family, 1, 9)])
    # A value that lies at a half may be rounded the other way: one step of one pixel. Whether
    # it does depends on the last bit of base + m * delta, which NumPy and MLAS may differ in.
    step = {"uint8": 2 / 255, "float16": 2**-10}.get(convention.get("dtype", ""), 1e-5)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=step)


@pytest.mark.parametrize("batch_size", [2, 5, 16])
def test_parts_of_all_families_and_images_mix_in_one_call(batch_size: int) -> None:
    host, graph = make_pair({}, batch_size=batch_size)
    slices = [("patch", 0, 3), ("grid", 2, 4), ("segment", 1, 6), ("cell", 4, 5), ("rank", 0, 4)]
    for with_arrays in (False, True):
        chosen = slices + [("array", 3, 5)] * with_arrays
        scores, expected = (
            classifier.masked_scores(
                [make_part(classifier, *chosen[k], seed=k) for k in range(len(chosen))]
            )
            for classifier in (graph, host)
        )
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_batches_are_on_the_device_whether_masks_have_codes_or_not() -> None:
    spec, (image, fill) = spec_of(), photos(2)
    composer = DeviceComposer(session_of(models.additive(models.weights(SIZE))), spec)
    planes, families = composer.planes(image, fill), make_families(9)
    coded, held = Part(planes, families["grid"], 0, 3), Part(planes, families["array"], 0, 2)
    for parts, width in (([coded], 4), ([coded, held], 6)):
        place = composer.compose(parts, width)
        assert isinstance(place, DevicePlace)
        assert place.shape == (width, 3, *SIZE)


def test_statics_are_computed_once_for_many_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    _, graph = make_pair({}, batch_size=2)
    computed, encode = [], GridMasks.codes

    def encode_counting(masks: GridMasks, start: int, stop: int) -> Codes:
        codes = encode(masks, start, stop)

        def compute() -> Mapping[str, Any]:
            computed.append(masks)
            return codes.statics()

        return replace(codes, statics=compute)

    monkeypatch.setattr(GridMasks, "codes", encode_counting)
    part = make_part(graph, "grid", 0, 9)
    scores = graph.masked_scores([part])
    np.testing.assert_array_equal(graph.masked_scores([part]), scores)
    assert computed == [part.masks]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of masks of each run that composes some."""
    seen: list[int] = []
    run = Session.run

    def count(session: Session, feeds: Any, outputs: Any = (), *, places: Any = NOWHERE) -> Any:
        if "x" in places:
            seen.append(places["x"].n_rows)
        return run(session, feeds, outputs, places=places)

    monkeypatch.setattr(Session, "run", count)
    return seen


@pytest.mark.parametrize("family", CODED_FAMILIES)
def test_parts_of_one_family_and_image_are_composed_in_one_run(
    family: str, runs: list[int]
) -> None:
    """Of masks that were made apart but share labels, ranks or grids, too; to the same bits."""
    _, graph = make_pair({}, batch_size=16)
    image, fill = photos(2)
    planes = graph.planes(image, fill)
    parts = [Part(planes, make_families(9)[family], k, k + 2) for k in (0, 3, 6)]
    joined = graph.masked_scores(parts)
    assert runs == [6]
    alone = np.concatenate([graph.masked_scores([part]) for part in parts])
    assert runs == [6, 2, 2, 2]
    np.testing.assert_array_equal(joined, alone)


def test_parts_that_differ_in_image_or_family_or_labels_are_runs_of_their_own(
    runs: list[int],
) -> None:
    host, graph = make_pair({}, batch_size=16)

    def make_parts(classifier: OnnxClassifier) -> list[Part]:
        one, two = (classifier.planes(*photos(2, seed=seed)) for seed in (1, 2))
        made, other = make_families(9), make_families(9, seed=1)["segment"]
        segments = made["segment"]
        planes = [one, one, two, two, two, two]
        masks = [segments, segments, segments, other, made["rank"], made["bits"]]
        return [Part(*pair, 2, 4) for pair in zip(planes, masks, strict=True)]

    scores = graph.masked_scores(make_parts(graph))
    assert runs == [4, 2, 2, 2, 2]
    expected = host.masked_scores(make_parts(host))
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_targets_explained_together_are_composed_together_to_the_same_bits(
    tmp_path: Path, runs: list[int]
) -> None:
    """At a fixed batch size, as a batch of another size may round differently."""
    path = models.save(models.convnet((32, 32), classes=12, batch=16), tmp_path / "net.onnx")
    classifier = load_classifier(
        path, device="cpu", compose="graph", flags={"preprocessing": "unit"}
    )
    image = photos(1, (32, 32))[0]
    method = onnxplain.MP2(grid=8, gain="difference", sweep="lazy", n_tried=2)

    def explain(targets: list[int]) -> dict[int, Any]:
        runs.clear()
        found = onnxplain.explain_many(classifier, [image], method, target=targets)
        return {explanation.target: explanation.heatmap for explanation in found}

    together = explain(list(range(12)))
    n_together, n_masks = len(runs), sum(runs)
    n_alone = 0
    for target in range(12):
        np.testing.assert_array_equal(together[target], explain([target])[target])
        n_alone += len(runs)
        n_masks -= sum(runs)
    assert n_masks == 0
    assert n_together < n_alone


def test_fixed_batch_is_padded() -> None:
    w = models.weights(SIZE)
    model, spec = models.additive(w, batch=4), spec_of()
    graph = classifier_of(model, spec, batch_size=4, fixed=4, on_device=True)
    host = classifier_of(models.additive(w), spec)
    scores = graph.masked_scores([make_part(graph, "grid", 0, 7)])
    expected = host.masked_scores([make_part(host, "grid", 0, 7)])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_threads_do_not_share_device_buffers() -> None:
    _, graph = make_pair({}, batch_size=3)
    whole = graph.masked_scores([make_part(graph, "cell", 0, 9)])

    def score_three(start: int) -> Any:
        return graph.masked_scores([make_part(graph, "cell", start, start + 3)])

    starts = [0, 3, 6] * 10
    with ThreadPoolExecutor(4) as pool:
        for start, scores in zip(starts, pool.map(score_three, starts), strict=True):
            np.testing.assert_array_equal(scores, whole[start : start + 3])


@needs_gpu
@pytest.mark.parametrize("family", make_families(size=(32, 32)))
def test_graphs_on_a_gpu_agree_with_the_cpu(tmp_path: Path, family: str) -> None:
    path = models.save(models.convnet((32, 32)), tmp_path / "net.onnx")
    image, fill = photos(2, (32, 32))
    masks = make_families(9, (32, 32))[family]
    scores = []
    for device in ("cpu", "cuda"):
        classifier = load_classifier(path, device=device, flags={"preprocessing": "unit"})
        assert classifier.provenance["device"] == device
        part = Part(classifier.planes(image, fill), masks, 0, 9)
        scores.append(classifier.masked_scores([part]))
    np.testing.assert_allclose(scores[1], scores[0], rtol=5e-3, atol=5e-3)  # TF32
