"""A way to score patches is used only where it was seen to be right and quick."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import onnxplain
from onnxplain.core.data import Scores
from onnxplain.core.inside import Array
from onnxplain.core.protocols import Part
from onnxplain.masks.families import PatchMasks
from onnxplain.methods import SP
from onnxplain.runtime import OnnxClassifier, crop_stages, incremental
from onnxplain.runtime.composing.composer import count_masks
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.gradient import ModelInside
from onnxplain.runtime.incremental import IncrementalScores, PatchScorer
from tests.helpers.inside import add_softmax, open_model, read_proto
from tests.helpers.local_nets import Net
from tests.helpers.nets import Net as PlainNet
from tests.helpers.nets import Picture, ShiftedWhereRemoved, additive, explain_image
from tests.helpers.specs import spec_of

SIZE = (96, 96)
SPEC = spec_of(size=SIZE, head="probabilities")
PATCH = 8


@pytest.fixture(scope="module")
def model():
    net = Net(SIZE)
    x = net.op("Relu", net.conv("image", (3, 24), pads=[1] * 4))
    for _ in range(2):
        x = net.op("Relu", net.conv(x, (24, 24), pads=[1] * 4))
    x = net.op("MaxPool", x, kernel_shape=[8, 8], strides=[8, 8])
    return add_softmax(net.finish(x))


@pytest.fixture
def classifier(model) -> OnnxClassifier:
    return open_model(model, SPEC)


def make_parts(classifier: OnnxClassifier) -> list[Part]:
    image, fill = np.random.default_rng(0).random((2, *SIZE, 3), np.float32)
    corners = np.array([[0, 0], [40, 3], [88, 88], [21, 60]])
    return [Part(classifier.planes(image, fill), PatchMasks(corners, PATCH, SIZE), 0, 4)]


def spoil(
    classifier: OnnxClassifier, model, change: Callable[[Scores], Scores], name: str = "spoilt"
) -> IncrementalScores:
    """Make a way to score in which something changes the scores, or takes time."""

    def load(patch: int) -> PatchScorer:
        scorer = ModelInside(read_proto(model), SPEC, Device("cpu"), 4).load_patch_scorer(patch)
        run_rest = scorer.run_rest
        return PatchScorer(scorer.stages, SIZE, lambda values: change(run_rest(values)))

    def compose(part: Part) -> Array:
        return HostComposer(ModelSpace.of(SPEC)).compose([part], count_masks([part]))

    return IncrementalScores(name, SIZE, load=load, compose=compose, score=classifier.masked_scores)


def test_used_where_it_is_right_and_quick(model, classifier, monkeypatch) -> None:
    monkeypatch.setattr(incremental, "LEAST_GAIN", 0)  # whatever else the machine does
    parts = make_parts(classifier)
    answer = classifier.changed_scores(parts)
    np.testing.assert_allclose(answer.scores, classifier.masked_scores(parts), rtol=0, atol=1e-5)
    facts = answer.facts["incremental"]
    assert facts["used"] is True
    assert facts["largest_difference"] <= 1e-5
    assert facts["gain"] > 0


def test_wrong_scores_are_not_used(model, classifier, caplog) -> None:
    wrong = spoil(classifier, model, lambda scores: scores + np.float32(3e-5))
    parts = make_parts(classifier)
    answer = wrong.score(parts)
    np.testing.assert_array_equal(answer.scores, classifier.masked_scores(parts))
    assert answer.facts["incremental"]["used"] is False
    assert "scores differ by 3.0e-05" in answer.facts["incremental"]["why"]
    assert "spoilt: not incremental: scores differ" in caplog.text


def test_scores_that_are_no_numbers_are_not_used(model, classifier) -> None:
    wrong = spoil(classifier, model, lambda scores: scores * np.float32(np.nan))
    assert wrong.score(make_parts(classifier)).facts["incremental"]["used"] is False


def test_wrong_inner_values_are_not_used(model, classifier, monkeypatch) -> None:
    paste = crop_stages._paste

    def paste_less(cut, boxes, *others) -> None:  # as if a margin were too narrow
        paste(cut, boxes._replace(stops=boxes.stops - 1), *others)

    monkeypatch.setattr(crop_stages, "_paste", paste_less)
    facts = classifier.changed_scores(make_parts(classifier)).facts["incremental"]
    assert "inner values differ" in facts["why"]


def test_slow_scores_are_not_used(model, classifier, caplog) -> None:
    def wait(scores: Scores) -> Scores:
        began = time.thread_time()
        while time.thread_time() - began < 0.2:
            pass
        return scores

    slow = spoil(classifier, model, wait)
    assert (
        "times as fast as the usual way"
        in slow.score(make_parts(classifier)).facts["incremental"]["why"]
    )
    assert "only 0." in caplog.text


def test_a_size_of_patch_is_tried_once(model, classifier) -> None:
    loads = []

    def count(scores: Scores) -> Scores:
        loads.append(len(scores))
        return scores + 1

    tried = spoil(classifier, model, count)
    for _ in range(3):
        tried.score(make_parts(classifier))
    assert len(loads) == 1  # of the check; the rest is scored as usual


def test_the_map_of_sp_is_the_same_and_the_record_tells(classifier, monkeypatch) -> None:
    monkeypatch.setattr(incremental, "LEAST_GAIN", 0)
    image = np.random.default_rng(2).random((*SIZE, 3), np.float32)
    usual, quick = (
        explain_image(classifier, SP(9, 7, incremental=asked, refine=0.5), Picture(0.5), image)
        for asked in (False, True)
    )
    np.testing.assert_allclose(quick.values[0].heatmap, usual.values[0].heatmap, rtol=0, atol=1e-5)
    assert np.ptp(usual.values[0].heatmap) > 1e-3
    assert quick.values[0].details["incremental"]["used"] is True
    assert "incremental" not in usual.values[0].details
    assert quick.evaluations == usual.evaluations


@pytest.mark.slow
def test_the_map_of_a_real_photo_is_the_same(monkeypatch) -> None:
    monkeypatch.setattr(incremental, "LEAST_GAIN", 0)
    classifier = onnxplain.load("efficientnet-lite0", device="cpu", batch_size=4)
    photo = Path(__file__).parents[2] / "examples" / "coffee.jpg"
    usual, quick = (
        onnxplain.explain(classifier, photo, SP(stride=39, incremental=asked))
        for asked in (False, True)
    )
    assert usual.coarse is not None
    assert np.ptp(usual.coarse) > 0.01
    np.testing.assert_allclose(quick.coarse, usual.coarse, rtol=0, atol=1e-5)
    assert quick.details["incremental"]["used"] is True


@pytest.mark.parametrize("kind", ["fill", "classifier"])
def test_where_nothing_can_be_incremental_the_record_tells(kind, classifier, caplog) -> None:
    image = np.random.default_rng(2).random((*SIZE, 3), np.float32)
    weights = np.full((*SIZE, 3), 1e-5, np.float32)
    net = classifier if kind == "fill" else PlainNet(additive(weights), SIZE)
    fill = ShiftedWhereRemoved() if kind == "fill" else Picture(0.5)
    found = explain_image(net, SP(30, 30, incremental=True), fill, image).values[0]
    assert found.details["incremental"]["used"] is False
    assert "the fill depends on the mask" in caplog.text
