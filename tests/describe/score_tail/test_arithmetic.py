"""What sums and products make of scores follows from their other operands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tails import CLASSES, EXP, SECOND, SOFTMAX, f32, node, read_values

SIGMOID = node("Sigmoid", ["logits"], ["p"])


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
def test_logits_and_a_constant_are_logits(operator: str, tmp_path: Path) -> None:
    scores = node(operator, ["logits", "b"], ["scores"])
    values = read_values(tmp_path, scores, b=np.full(CLASSES, 2, np.float32))
    assert values is not None
    assert values.are_logits


@pytest.mark.parametrize(("operator", "total"), [("Mul", 4.0), ("Div", 0.25)])
def test_factor_of_probabilities_is_their_total(
    operator: str, total: float, tmp_path: Path
) -> None:
    values = read_values(tmp_path, SOFTMAX, node(operator, ["p", "four"], ["scores"]), four=f32(4))
    assert values is not None
    assert (values.kind, values.total) == ("distribution", total)


@pytest.mark.parametrize(("operator", "total"), [("Add", 2.0), ("Sum", 2.0), ("Mean", 1.0)])
def test_two_distributions_are_added(operator: str, total: float, tmp_path: Path) -> None:
    values = read_values(tmp_path, SOFTMAX, *SECOND, node(operator, ["p", "p2"], ["scores"]))
    assert values is not None
    assert (values.kind, values.total) == ("distribution", total)


def test_sum_of_a_distribution_and_labels_is_neither(tmp_path: Path) -> None:
    label = node("Sigmoid", ["logits"], ["label"])
    values = read_values(tmp_path, SOFTMAX, label, node("Add", ["p", "label"], ["scores"]))
    assert values is not None
    assert (values.kind, values.total) == ("unit", 2)


def test_mean_of_logits_stays_logits_behind_other_operators(tmp_path: Path) -> None:
    nodes = [
        node("Mean", ["logits", "logits"], ["mean"]),
        node("Neg", ["mean"], ["negative"]),
        node("Sub", ["negative", "b"], ["scores"]),
    ]
    values = read_values(tmp_path, *nodes, b=f32(3))
    assert values is not None
    assert values.are_logits


def test_complement_is_known_of_one_only(tmp_path: Path) -> None:
    less = [node("Sub", ["whole", "p"], ["scores"])]
    values = read_values(tmp_path, SIGMOID, *less, whole=f32(1))
    assert values is not None
    assert values.kind == "labels"
    assert read_values(tmp_path, SIGMOID, *less, whole=f32(2)) is None


def test_one_less_percent_is_not_known(tmp_path: Path) -> None:
    nodes = [node("Mul", ["p", "factor"], ["q"]), node("Sub", ["one", "q"], ["scores"])]
    assert read_values(tmp_path, SOFTMAX, *nodes, factor=f32(100), one=f32(1)) is None


def test_exponentials_over_another_sum_are_not_known(tmp_path: Path) -> None:
    other = node("ReduceSum", ["logits"], ["s"], keepdims=1)
    assert read_values(tmp_path, EXP, other, node("Div", ["e", "s"], ["scores"])) is None


def test_sigmoid_may_be_written_with_a_reciprocal(tmp_path: Path) -> None:
    nodes = [node("Add", ["one", "e"], ["d"]), node("Reciprocal", ["d"], ["scores"])]
    values = read_values(tmp_path, EXP, *nodes, one=f32(1))
    assert values is not None
    assert values.kind == "labels"
    values = read_values(tmp_path, EXP, *nodes, one=f32(2))
    assert values is not None
    assert values.kind == "bent"
