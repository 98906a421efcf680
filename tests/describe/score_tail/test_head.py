"""What the last operators make of the scores is known where it follows from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from onnxplain.describe.resolve import resolve_spec
from onnxplain.describe.score_tail.head import find_head
from tests.helpers import models
from tests.helpers.described import save_and_read
from tests.helpers.tails import CLASSES, KNOWN, LABELS, SEEN, f32, make_tailed, node


@pytest.mark.parametrize("name", KNOWN)
def test_probabilities_are_known_by_the_graph(name: str, tmp_path: Path) -> None:
    spec = resolve_spec(save_and_read(make_tailed(KNOWN[name]), tmp_path), {"range": (0, 1)})
    assert (spec.head, spec.sources["head"]) == ("probabilities", "graph")


@pytest.mark.parametrize("name", LABELS)
def test_independent_labels_are_known_by_the_graph(name: str, tmp_path: Path) -> None:
    spec = resolve_spec(save_and_read(make_tailed(LABELS[name]), tmp_path), {"range": (0, 1)})
    assert (spec.head, spec.sources["head"]) == ("multilabel-probabilities", "graph")


@pytest.mark.parametrize("name", SEEN)
def test_tail_that_is_not_understood_is_not_known(name: str, tmp_path: Path) -> None:
    model = save_and_read(make_tailed(SEEN[name]), tmp_path)
    assert find_head(model, "scores", CLASSES) is None
    assert resolve_spec(model, {"range": (0, 1)}).sources["head"] == "default"


@pytest.mark.parametrize(("name", "scale"), [("percent", 0.01), ("sum of two heads", 0.5)])
def test_factor_of_probabilities_is_known_by_the_graph(
    name: str, scale: float, tmp_path: Path
) -> None:
    spec = resolve_spec(save_and_read(make_tailed(KNOWN[name]), tmp_path), {"range": (0, 1)})
    assert spec.output_scale == pytest.approx((scale, 0))
    assert spec.sources["output_scale"] == "graph"


def test_one_number_is_a_probability_only_where_the_graph_says_so(tmp_path: Path) -> None:
    for head, expected in (("sigmoid", "probability"), ("logits", None)):
        proto = models.additive(models.weights((4, 4), 1), head=head)
        assert find_head(save_and_read(proto, tmp_path), "scores", 1) == expected


def test_scale_of_quantised_logits_is_read_from_the_last_layer(tmp_path: Path) -> None:
    proto = models.model(
        [
            node("QuantizeLinear", ["image", "s", "z"], ["q"]),
            node("Flatten", ["q"], ["flat"]),
            node("QLinearMatMul", ["flat", "s", "z", "w", "s", "z", "out", "mid"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, ["N", 3, 4, 4])},
        {"scores": (TensorProto.UINT8, ["N", 5])},
        {
            "s": f32(1 / 255),
            "z": np.array(0, np.uint8),
            "w": np.ones((48, 5), np.uint8),
            "out": f32(0.125),
            "mid": np.array(100, np.uint8),
        },
    )
    spec = resolve_spec(save_and_read(proto, tmp_path), {"range": (0, 1)})
    assert spec.output_scale == (0.125, 100)
    assert (spec.head, spec.sources["output_scale"]) == ("logits", "graph")
