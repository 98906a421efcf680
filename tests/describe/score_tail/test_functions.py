"""What functions of scores make of them follows from the function and its axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper

from onnxplain.describe.score_tail.head import find_head
from tests.helpers.described import save_and_read
from tests.helpers.tails import CLASSES, SOFTMAX, f32, make_tailed, node, read_values

SIGMOID = node("Sigmoid", ["logits"], ["p"])


@pytest.mark.parametrize(
    ("nodes", "kind"),
    [
        ([node("LogSoftmax", ["logits"], ["scores"], axis=1)], "logits"),
        ([SOFTMAX, node("Log", ["p"], ["scores"])], "logits"),
        ([SIGMOID, node("Log", ["p"], ["scores"])], "logarithms of labels"),
        ([node("Neg", ["logits"], ["scores"])], "logits"),
        ([SOFTMAX, node("Neg", ["p"], ["scores"])], "bent"),
        ([SOFTMAX, node("Log", ["p"], ["l"]), node("Neg", ["l"], ["scores"])], "bent"),
        ([node("Exp", ["logits"], ["scores"])], "bent"),
        ([node("Tanh", ["logits"], ["scores"])], "bent"),
    ],
)
def test_kind_follows_from_the_function(nodes: list[NodeProto], kind: str, tmp_path: Path) -> None:
    values = read_values(tmp_path, *nodes)
    assert values is not None
    assert (values.kind, values.total) == (kind, 1)


def test_negated_softplus_is_the_logarithm_of_a_sigmoid(tmp_path: Path) -> None:
    nodes = [node("Softplus", ["logits"], ["s"]), node("Neg", ["s"], ["scores"])]
    values = read_values(tmp_path, *nodes)
    assert values is not None
    assert values.kind == "logarithms of labels"


@pytest.mark.parametrize(("factor", "known"), [(100, True), (50, True), (49, False), (1, False)])
def test_probabilities_are_rounded_by_two_percent_at_most(
    factor: float, known: bool, tmp_path: Path
) -> None:
    nodes = [SOFTMAX, node("Mul", ["p", "factor"], ["a"]), node("Round", ["a"], ["scores"])]
    values = read_values(tmp_path, *nodes, factor=f32(factor))
    assert (values is not None) == known


def test_softmax_over_the_batch_makes_no_scores(tmp_path: Path) -> None:
    values = read_values(tmp_path, node("Softmax", ["logits"], ["scores"], axis=0))
    assert values is not None
    assert values.kind == "softmax of another axis"
    assert not values.are_probabilities


@pytest.mark.parametrize(("axis", "head"), [(1, "probabilities"), (2, None), (-3, "probabilities")])
def test_softmax_of_four_axes_runs_over_the_classes_or_is_not_known(
    axis: int, head: str | None, tmp_path: Path
) -> None:
    nodes = [
        node("Reshape", ["logits", "four"], ["tall"]),
        node("Softmax", ["tall"], ["p"], axis=axis),
        node("Flatten", ["p"], ["scores"]),
    ]
    model = save_and_read(make_tailed(nodes, four=np.array([-1, CLASSES, 1, 1])), tmp_path)
    assert find_head(model, "scores", CLASSES) == head


@pytest.mark.parametrize(
    ("transform", "head"), [("SOFTMAX", "probabilities"), ("LOGISTIC", "multilabel-probabilities")]
)
def test_linear_classifier_of_the_ml_domain_is_read(
    transform: str, head: str, tmp_path: Path
) -> None:
    classifier = node(
        "LinearClassifier",
        ["logits"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        coefficients=np.eye(CLASSES).ravel().tolist(),
        intercepts=[0.0] * CLASSES,
        post_transform=transform,
        classlabels_ints=list(range(CLASSES)),
    )
    proto = make_tailed([node("Identity", ["logits"], ["scores"])])
    proto.graph.node[-1].CopyFrom(classifier)
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    assert find_head(save_and_read(proto, tmp_path), "scores", CLASSES) == head
