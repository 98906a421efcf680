"""Patches scored from what they change, against ONNX Runtime on the untouched file."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from onnx import ModelProto

from onnxplain.core.data import Size
from onnxplain.core.errors import ModelError
from onnxplain.core.protocols import Part
from onnxplain.gradient import crops
from onnxplain.masks.families import PatchMasks
from onnxplain.runtime import OnnxClassifier, crop_stages
from onnxplain.runtime.device import Device
from onnxplain.runtime.gradient import ModelInside
from onnxplain.runtime.incremental import PatchScorer
from tests.helpers.inside import open_model, read_proto
from tests.helpers.local_nets import NETS, SIZE, Net, make_net
from tests.helpers.specs import spec_of


@pytest.fixture(autouse=True)
def _all_cuts_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stages cost nothing: the nets are too small for them to pay."""
    monkeypatch.setattr(crops, "WORK_PER_PASTE", 0)
    monkeypatch.setattr(crops, "WORK_PER_STAGE", 0)
    monkeypatch.setattr(crop_stages, "LEAST_SAVED", -1)


def open_both(
    model: ModelProto, patch: int, size: Size = SIZE, layout: str = "nchw"
) -> tuple[OnnxClassifier, PatchScorer]:
    """Open a model in the usual way, and what scores its patches."""
    spec = spec_of(size=size, layout=layout, mean=(0.4, 0.5, 0.6), std=(0.3, 0.2, 0.25))
    inside = ModelInside(read_proto(model), spec, Device("cpu"), 4)
    return open_model(model, spec), inside.load_patch_scorer(patch)


def list_positions(patch: int, size: Size) -> np.ndarray:
    """List positions within, at and across all borders, and outside."""
    sides = [
        [-patch, -patch // 2, 0, 1, 2, *range(5, side - patch, 7), side - patch, side - 1, side]
        for side in size
    ]
    return np.array(list(product(*sides)))


def assert_equal(classifier: OnnxClassifier, scorer: PatchScorer, patch: int, size: Size) -> None:
    rng = np.random.default_rng(0)
    image, fill = rng.random((2, *size, 3), np.float32)
    corners = list_positions(patch, size)
    part = Part(classifier.planes(image, fill), PatchMasks(corners, patch, size), 0, len(corners))
    usual = classifier.masked_scores([part])
    assert np.ptp(usual, axis=0).min() > 1e-2  # the patch matters
    np.testing.assert_allclose(scorer.score([part]), usual, rtol=0, atol=1e-5)


@pytest.mark.parametrize("patch", [1, 4, 9])
@pytest.mark.parametrize("name", NETS)
def test_scores_equal_those_of_the_whole(name: str, patch: int) -> None:
    layout = "nhwc" if name == "channels_last" else "nchw"
    classifier, scorer = open_both(make_net(name), patch, layout=layout)
    stages = scorer.stages.stages
    assert len(stages) > 1
    assert (stages[0].crop < SIZE).all()
    assert_equal(classifier, scorer, patch, SIZE)


@pytest.mark.parametrize("size", [(24, 24), (31, 40), (33, 29), (38, 35)])
@pytest.mark.parametrize("name", ["residual", "same_upper", "mean_pools"])
def test_every_remainder_of_the_size(name: str, size: Size) -> None:
    classifier, scorer = open_both(make_net(name, size), 5, size)
    assert_equal(classifier, scorer, 5, size)


def test_single_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each stage costs so much that all layers are one.
    monkeypatch.setattr(crops, "WORK_PER_STAGE", 1e5)
    classifier, scorer = open_both(make_net("residual"), 3)
    assert len(scorer.stages.stages) == 1
    assert_equal(classifier, scorer, 3, SIZE)


def test_images_and_parts_keep_their_own_values() -> None:
    classifier, scorer = open_both(make_net("vgg"), 6)
    rng = np.random.default_rng(1)
    masks = PatchMasks(list_positions(6, SIZE), 6, SIZE)
    planes = [classifier.planes(*rng.random((2, *SIZE, 3), np.float32)) for _ in range(6)]
    parts = [Part(each, masks, 5 * place, 5 * place + 21) for place, each in enumerate(planes)] * 2
    usual = classifier.masked_scores(parts)
    np.testing.assert_allclose(scorer.score(parts), usual, rtol=0, atol=1e-5)


def test_refusal_says_where_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop_stages, "LEAST_SAVED", 0.1)
    net = Net()
    x = net.op("Relu", net.conv("image", (3, 4), pads=[1] * 4))
    gate = net.op("Sigmoid", net.conv(net.op("GlobalAveragePool", x), (4, 4), 1))
    x = net.op("Mul", net.conv(x, (4, 64), pads=[1] * 4), net.conv(gate, (4, 64), 1))
    model = net.finish(x)
    with pytest.raises(ModelError, match=r"GlobalAveragePool.* may see more than a window"):
        open_both(model, 30)


def test_half_precision_is_refused() -> None:
    spec = spec_of(size=SIZE, dtype="float16")
    inside = ModelInside(read_proto(make_net("vgg")), spec, Device("cpu"), 4)
    with pytest.raises(ModelError, match="float16"):
        inside.load_patch_scorer(4)
