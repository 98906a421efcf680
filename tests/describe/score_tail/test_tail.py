"""The tail is read back from the scores, up to where nothing is understood."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from onnxplain.describe.score_tail.head import READERS
from onnxplain.describe.score_tail.tail import MOST_STEPS, PASSING, Tail, is_tiny
from tests.helpers.described import save_and_read
from tests.helpers.tails import CLASSES, SOFTMAX, f32, make_tailed, node, read_values


def make_tail(folder: Path) -> Tail:
    nodes = [
        node("Unsqueeze", ["logits", "ax"], ["u"]),
        node("Squeeze", ["u", "ax"], ["z"]),
        node("Add", ["z", "one"], ["scores"]),
    ]
    proto = make_tailed(nodes, ax=np.array([1]), one=f32(1))
    return Tail(save_and_read(proto, folder), CLASSES, READERS)


def test_tensors_are_traced_over_changes_of_form(tmp_path: Path) -> None:
    tail = make_tail(tmp_path)
    assert tail.trace_passing("z") == "logits"
    origin = tail.find_origin("z")
    assert origin is not None
    assert origin.op_type == "Gemm"


def test_constants_are_stored_numbers(tmp_path: Path) -> None:
    tail = make_tail(tmp_path)
    assert tail.is_one("one")
    assert tail.get_constant("ax") == 1
    assert tail.get_constant("z") is None
    assert not tail.is_one("z")


def test_axis_of_the_classes_is_found_by_its_length(tmp_path: Path) -> None:
    tail = make_tail(tmp_path)
    assert [tail.has_classes_at("u", axis) for axis in (-4, -1, 0, 1, 2, 3)] == [
        *(False, True, False, False, True, False)
    ]


@pytest.mark.parametrize(("value", "tiny"), [(0, True), (-1e-4, True), (-0.1, False), (2, False)])
def test_a_tiny_constant_changes_nothing(value: float, tiny: bool) -> None:
    assert is_tiny(f32(value)) == tiny


def test_operator_without_a_reader_makes_nothing_known(tmp_path: Path) -> None:
    assert "Relu" not in READERS
    assert read_values(tmp_path, SOFTMAX, node("Relu", ["p"], ["scores"])) is None
    assert set(READERS) >= PASSING


@pytest.mark.parametrize("more", [0, 1])
def test_a_long_tail_is_left_unread(more: int, tmp_path: Path) -> None:
    n = MOST_STEPS + more  # back from the scores to the softmax
    names = ["p", *(f"p{i}" for i in range(n - 1)), "scores"]
    chain = [node("Identity", [a], [b]) for a, b in pairwise(names)]
    values = read_values(tmp_path, SOFTMAX, *chain)
    assert (values is None) == bool(more)
