"""What is known of scores that are picked, bounded or put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tails import CLASSES, SECOND, SOFTMAX, f32, node, read_values


@pytest.mark.parametrize("low", [0.0, 1e-8, 0.2])
@pytest.mark.parametrize("operator", ["Clip", "Max"])
def test_probabilities_may_be_kept_from_0_by_little(
    operator: str, low: float, tmp_path: Path
) -> None:
    values = read_values(tmp_path, SOFTMAX, node(operator, ["p", "low"], ["scores"]), low=f32(low))
    assert (values is not None) == (low < 1e-3)


@pytest.mark.parametrize(("high", "known"), [(1.0, True), (0.9995, True), (0.9, False)])
def test_clipped_probabilities_may_reach_1(high: float, known: bool, tmp_path: Path) -> None:
    clip = node("Clip", ["p", "", "high"], ["scores"])
    assert (read_values(tmp_path, SOFTMAX, clip, high=f32(high)) is not None) == known


def test_clipping_to_computed_bounds_is_not_known(tmp_path: Path) -> None:
    low = node("ReduceMin", ["logits"], ["low"], keepdims=0)
    assert read_values(tmp_path, SOFTMAX, low, node("Clip", ["p", "low"], ["scores"])) is None


def test_picked_classes_are_no_distribution(tmp_path: Path) -> None:
    pick = node("Gather", ["p", "order"], ["scores"], axis=1)
    values = read_values(tmp_path, SOFTMAX, pick, order=np.arange(CLASSES))
    assert values is not None
    assert (values.kind, values.total) == ("unit", 1)


def test_top_values_stay_so_behind_a_softmax(tmp_path: Path) -> None:
    nodes = [
        node("TopK", ["logits", "k"], ["top", "which"], axis=1),
        node("Softmax", ["top"], ["scores"], axis=1),
    ]
    values = read_values(tmp_path, *nodes, k=np.array([CLASSES]))
    assert values is not None
    assert values.kind == "top values"


def test_mean_of_a_distribution_may_be_over_its_classes(tmp_path: Path) -> None:
    mean = node("ReduceMean", ["p"], ["scores"], axes=[0], keepdims=1)
    assert read_values(tmp_path, SOFTMAX, mean) is None


def test_heads_beside_each_other_are_known_where_all_are(tmp_path: Path) -> None:
    logits = node("Concat", ["logits", "logits"], ["scores"], axis=1)
    values = read_values(tmp_path, logits)
    assert values is not None
    assert values.are_logits
    rows = node("Concat", ["p", "p2"], ["scores"], axis=1)
    assert read_values(tmp_path, SOFTMAX, *SECOND, rows) is None
