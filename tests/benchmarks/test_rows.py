"""The benchmark of many rows does what it measures."""

from __future__ import annotations

import pytest

from benchmarks.rows import STEPS, iterate_rows, measure_steps
from onnxplain.study.columns import find_wrong_fields


def test_rows_are_like_those_of_a_study():
    rows = list(iterate_rows(49))
    assert len({row["key"] for row in rows}) == 49
    assert [find_wrong_fields(row) for row in rows] == [[]] * 49


def test_every_step_is_done_and_measured():
    pytest.importorskip("resource")
    pytest.importorskip("jinja2")
    costs = list(measure_steps(48))
    assert [step for step, _, _ in costs] == list(STEPS)
    assert all(cost.seconds > 0 and 20 < cost.peak_mib < 2048 for _, cost, _ in costs)
