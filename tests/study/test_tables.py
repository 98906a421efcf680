"""Means, paired tests and means by method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from onnxplain.study.columns import gather_values
from onnxplain.study.tables import Table, arrange_by_method, compare_pairs, summarise
from tests.study.conftest import make_score


def get_cell(table: Table, line: int, column: str) -> Any:
    return table.lines[line][table.header.index(column)]


def test_means_and_intervals_are_those_of_each_method():
    rng = np.random.default_rng(0)
    values = {"sp": rng.random(40), "lime": rng.random(40)}
    rows = [make_score(i, v, method) for method in values for i, v in enumerate(values[method])]
    table = summarise(gather_values(rows, share=0, seed=0), seed=0)
    for line, method in enumerate(("lime", "sp")):
        assert get_cell(table, line, "method") == method
        assert get_cell(table, line, "mean") == pytest.approx(values[method].mean())
        error = scipy.stats.sem(values[method])
        # The normal interval; the bootstrap's is near it for 40 values.
        for side, sign in (("95 % low", -1), ("95 % high", 1)):
            expected = values[method].mean() + sign * 1.96 * error
            assert get_cell(table, line, side) == pytest.approx(expected, abs=0.25 * error)
    assert summarise(gather_values(rows[::-1], share=0, seed=0), seed=0) == table


def test_pairs_are_compared_on_shared_images_and_adjusted_for_their_number():
    rng = np.random.default_rng(3)
    base = rng.random(30)
    shifts = {"lime": 0.0, "rise": 0.05, "sp": 0.2}
    values = {name: base + shift + 0.1 * rng.random(30) for name, shift in shifts.items()}
    rows = [make_score(i, values[name][i], name) for name in values for i in range(30)]
    rows = [row for row in rows if (row["method"], row["image"]) != ("sp", "7.png")]
    table = compare_pairs(gather_values(rows, share=0, seed=0), seed=0)
    assert [line[2:4] for line in table.lines] == [("lime", "rise"), ("lime", "sp"), ("rise", "sp")]
    assert [get_cell(table, line, "n") for line in range(3)] == [30, 29, 29]
    shared = np.arange(30) != 7
    expected = (values["rise"] - values["sp"])[shared].mean()
    assert get_cell(table, 2, "first - second") == pytest.approx(expected)
    p = [get_cell(table, line, "p") for line in range(3)]
    adjusted = [get_cell(table, line, "p (Holm)") for line in range(3)]
    assert all(high >= raw for raw, high in zip(p, adjusted, strict=True))
    t = scipy.stats.ttest_rel(values["lime"], values["rise"]).pvalue
    assert p[0] == pytest.approx(t, abs=0.01)


def test_classes_of_a_photo_and_copies_of_it_count_as_one_photo():
    """Doubling every row tells nothing new: neither intervals nor p become smaller."""
    rng = np.random.default_rng(4)
    values = {name: rng.random(8).tolist() for name in ("lime", "sp")}
    rows = [make_score(i, v, name) for name in values for i, v in enumerate(values[name])]
    once = gather_values(rows, share=0, seed=0)
    means, pairs = summarise(once, seed=0), compare_pairs(once, seed=0)
    classes = [{**row, "target": target} for row in rows for target in (1, 2)]
    copies = [
        {**row, "image": f"{folder}/{row['image']}", "image_sha256": row["image"]}
        for row in rows
        for folder in "ab"
    ]
    for doubled in (classes, copies):
        columns = gather_values(doubled, share=0, seed=0)
        for ours, table in (
            (summarise(columns, seed=0), means),
            (compare_pairs(columns, seed=0), pairs),
        ):
            for line in range(len(table.lines)):
                assert (get_cell(ours, line, "n"), get_cell(ours, line, "photos")) == (16, 8)
                for name in set(table.header[6:]):
                    assert get_cell(ours, line, name) == pytest.approx(get_cell(table, line, name))


def test_one_photo_has_no_interval():
    rows = [make_score(0, 0.25, "lime"), make_score(0, 0.5)]
    columns = gather_values(rows, share=0, seed=0)
    for table in (summarise(columns, seed=0), compare_pairs(columns, seed=0)):
        assert (get_cell(table, 0, "95 % low"), get_cell(table, 0, "95 % high")) == (None, None)


def test_methods_become_columns():
    rows = [
        make_score(0, 0.25, "lime"),
        make_score(0, 0.5),
        make_score(1, 1.0),
        make_score(0, 2.0, metric="insertion", direction="higher"),
    ]
    table = arrange_by_method(gather_values(rows, share=0, seed=0))
    assert table.header == ("model", "metric", "lime", "sp")
    assert table.lines == (
        ("net", "deletion (lower is better)", 0.25, 0.75),
        ("net", "insertion (higher is better)", None, 2.0),
    )
