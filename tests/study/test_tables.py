"""Tables out of rows."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from onnxplain.core.errors import OnnxplainError
from onnxplain.metrics import ALPHAS
from onnxplain.study import writing
from onnxplain.study.columns import WHOLE_IMAGE, gather_values
from onnxplain.study.dataset import is_held_out
from onnxplain.study.rows import Row
from onnxplain.study.tables import Table, arrange_by_method, compare_pairs, summarise
from onnxplain.study.writing import (
    to_csv,
    to_latex,
    to_markdown,
    to_parquet,
    to_text,
    write_rows_parquet,
)

SHARE, SEED = 0.4, 2


def score(image: int, value: float | None, method: str = "sp", **more: Any) -> Row:
    return {
        "kind": "score",
        "status": "done",
        "model": "net",
        "model_sha256": "0",
        "preprocessing": {},
        "image": f"{image}.png",
        "target": 1,
        "method": method,
        "fill": "black",
        "method_parameters": {"patch": 5},
        "fill_parameters": {},
        "metric": "deletion",
        "metric_fill": "black",
        "metric_parameters": {"step": 9},
        "metric_fill_parameters": {},
        "direction": "lower",
        "unit": "share",
        "value": value,
        "details": {},
        **more,
    }


def localised(image: int, errors: list[float], **more: Any) -> Row:
    """A row whose error is given for every alpha."""
    details = {"alphas": list(ALPHAS), "values": errors, "whole_image_overlap": image / 20}
    settings = {"metric": "localisation", "metric_parameters": {"alpha": 0.2, "overlap": 0.5}}
    return score(image, errors[4], **{**settings, "details": details, **more})


def cell(table: Table, line: int, column: str) -> Any:
    return table.lines[line][table.header.index(column)]


def test_means_and_intervals_of_each_method():
    rng = np.random.default_rng(0)
    values = {"sp": rng.random(40), "lime": rng.random(40)}
    rows = [score(i, v, method) for method in values for i, v in enumerate(values[method])]
    table = summarise(gather_values(rows, share=0, seed=0), seed=0)
    for line, method in enumerate(("lime", "sp")):
        assert cell(table, line, "method") == method
        assert cell(table, line, "mean") == pytest.approx(values[method].mean())
        error = scipy.stats.sem(values[method])
        # The normal interval; the bootstrap's is near it for 40 values.
        for side, sign in (("95 % low", -1), ("95 % high", 1)):
            expected = values[method].mean() + sign * 1.96 * error
            assert cell(table, line, side) == pytest.approx(expected, abs=0.25 * error)
    assert summarise(gather_values(rows[::-1], share=0, seed=0), seed=0) == table


def test_failed_and_undefined_values_are_counted_not_averaged():
    rows = [score(0, 1.0), score(1, None), score(2, None, status="error"), score(3, 3.0)]
    (column,) = gather_values(rows, share=0.5, seed=0)
    assert (column.n_failed, column.n_undefined) == (1, 1)
    assert list(column.values.values()) == [1.0, 3.0]
    (nothing,) = gather_values(rows[1:3], share=0.5, seed=0)
    line = summarise([nothing], seed=0).lines[0]
    assert line[3:7] == (0, None, None, None)


def test_of_one_image_the_last_row_counts():
    rows = [score(0, None, status="error"), score(1, 5.0), score(0, 2.0)]
    (column,) = gather_values(rows, share=0, seed=0)
    assert (column.values, column.n_failed) == ({("0.png", 1): 2.0, ("1.png", 1): 5.0}, 0)


def test_alpha_is_chosen_on_the_held_out_and_reported_on_the_others():
    rng = np.random.default_rng(1)
    errors = rng.integers(0, 2, (20, len(ALPHAS))).astype(float)
    rows = [localised(i, errors[i].tolist()) for i in range(20)]
    held = np.array([is_held_out(f"{i}.png", SHARE, SEED) for i in range(20)])
    assert 2 < held.sum() < 18
    best = errors[held].mean(axis=0).argmin()
    found = {one.method: one for one in gather_values(iter(rows), share=SHARE, seed=SEED)}
    column = found["sp"]
    assert column.alpha == ALPHAS[best]
    assert column.n_held_out == held.sum()
    assert np.mean(list(column.values.values())) == errors[~held, best].mean()
    assert set(column.values) == {(f"{i}.png", 1) for i in np.flatnonzero(~held)}
    # The box around the whole image: a miss where it overlaps the object by half or less.
    whole = [float(i / 20 <= 0.5) for i in np.flatnonzero(~held)]
    assert np.mean(list(found[WHOLE_IMAGE].values.values())) == np.mean(whole)


def test_without_held_out_images_the_metrics_own_alpha_holds():
    errors = [1.0] * 4 + [0.0] + [1.0] * 15
    rows = [localised(i, errors) for i in range(5)]
    column = next(one for one in gather_values(rows, share=0, seed=0) if one.method == "sp")
    assert (column.alpha, column.n_held_out) == (0.2, 0)
    assert list(column.values.values()) == [0.0] * 5


def test_metrics_without_thresholds_report_every_image():
    (column,) = gather_values([score(i, 1.0) for i in range(20)], share=SHARE, seed=SEED)
    assert len(column.values) == 20


def test_pairs_compare_on_shared_images_and_adjust_for_their_number():
    rng = np.random.default_rng(3)
    base = rng.random(30)
    shifts = {"lime": 0.0, "rise": 0.05, "sp": 0.2}
    values = {name: base + shift + 0.1 * rng.random(30) for name, shift in shifts.items()}
    rows = [score(i, values[name][i], name) for name in values for i in range(30)]
    rows = [row for row in rows if (row["method"], row["image"]) != ("sp", "7.png")]
    table = compare_pairs(gather_values(rows, share=0, seed=0), seed=0)
    assert [line[2:4] for line in table.lines] == [("lime", "rise"), ("lime", "sp"), ("rise", "sp")]
    assert [cell(table, line, "n") for line in range(3)] == [30, 29, 29]
    shared = np.arange(30) != 7
    expected = (values["rise"] - values["sp"])[shared].mean()
    assert cell(table, 2, "first - second") == pytest.approx(expected)
    p = [cell(table, line, "p") for line in range(3)]
    ours = [cell(table, line, "p (Holm)") for line in range(3)]
    assert all(adjusted >= raw for raw, adjusted in zip(p, ours, strict=True))
    t = scipy.stats.ttest_rel(values["lime"], values["rise"]).pvalue
    assert p[0] == pytest.approx(t, abs=0.01)


def test_names_tell_only_what_differs():
    rows = [
        score(0, 1.0, "random"),
        score(0, 1.0, method_parameters={"patch": 5, "stride": 3}, fill="black"),
        score(0, 1.0, method_parameters={"patch": 9, "stride": 3}, fill="black"),
        score(0, 1.0, method_parameters={"patch": 9, "stride": 3}, fill="blur"),
    ]
    assert [one.method for one in gather_values(rows, share=0, seed=0)] == [
        "random",
        "sp (fill=black, patch=5)",
        "sp (fill=black, patch=9)",
        "sp (fill=blur, patch=9)",
    ]


def test_classifiers_of_one_name_are_kept_apart():
    rows = [score(0, 0.0), score(0, 1.0, model_sha256="1")]
    assert [one.model for one in gather_values(rows, share=0, seed=0)] == [
        "net (model_sha256=0)",
        "net (model_sha256=1)",
    ]


def test_methods_become_columns():
    rows = [
        score(0, 0.25, "lime"),
        score(0, 0.5),
        score(1, 1.0),
        score(0, 2.0, metric="insertion", direction="higher"),
    ]
    table = arrange_by_method(gather_values(rows, share=0, seed=0))
    assert table.header == ("model", "metric", "lime", "sp")
    assert table.lines == (
        ("net", "deletion (lower is better)", 0.25, 0.75),
        ("net", "insertion (higher is better)", None, 2.0),
    )


TABLE = Table("T", ("a_b", "x|y", "n"), (("50 %", 1 / 3, 2), ("longer", None, 10)))


def test_text_is_aligned():
    assert to_text(TABLE) == "T\na_b     x|y     n\n50 %    0.3333  2\nlonger          10\n"


def test_csv_keeps_every_digit():
    header, first, second = csv.reader(io.StringIO(to_csv(TABLE)))
    assert header == ["a_b", "x|y", "n"]
    assert float(first[1]) == 1 / 3
    assert second == ["longer", "", "10"]


def test_markdown_escapes_bars():
    assert to_markdown(TABLE).splitlines() == [
        "### T",
        "",
        r"| a_b | x\|y | n |",
        "| --- | ---: | ---: |",
        "| 50 % | 0.3333 | 2 |",
        "| longer |  | 10 |",
    ]


def test_latex_escapes_what_is_special():
    text = to_latex(TABLE)
    assert r"\begin{tabular}{lrr}" in text
    assert "a\\_b & x|y & n \\\\" in text
    assert "50 \\% & 0.3333 & 2 \\\\" in text


def test_the_whole_image_is_judged_on_all_images_of_any_method():
    errors = [1.0] * len(ALPHAS)
    few = [localised(i, errors, method="a") for i in (3, 12)]
    many = [localised(i, errors, method="b") for i in range(8, 15)]
    found = {one.method: one for one in gather_values(few + many, share=0, seed=SEED)}
    assert found[WHOLE_IMAGE].values == {
        (f"{i}.png", 1): float(i / 20 <= 0.5) for i in (3, *range(8, 15))
    }
    keys = list(found[WHOLE_IMAGE].values)
    assert keys == sorted(keys)


def test_parquet_holds_what_csv_holds(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    rows = [score(i, i / 7, m) for i in range(4) for m in ("sp", "rise")]
    table = summarise(gather_values(rows, share=SHARE, seed=SEED), seed=SEED)
    found = parquet.read_table(io.BytesIO(to_parquet(table)))
    assert found.column_names == list(table.header)
    assert [tuple(line.values()) for line in found.to_pylist()] == list(table.lines)
    empty = Table("Nothing", ("a", "b"), ())
    assert parquet.read_table(io.BytesIO(to_parquet(empty))).column_names == ["a", "b"]


def test_rows_as_parquet_are_the_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    monkeypatch.setattr(writing, "_ROWS_AT_ONCE", 2)
    failed = {"status": "error", "error": "too dark"}
    rows = [score(i, i / 7) for i in range(5)] + [score(9, None, **failed)]
    write_rows_parquet([{"kind": "image"}, *rows], tmp_path / "rows.parquet")
    found = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [line["value"] for line in found] == [row["value"] for row in rows]
    assert found[5]["error"] == "too dark"
    assert json.loads(found[0]["metric_parameters"]) == {"step": 9}
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OnnxplainError, match=r"pip install 'onnxplain\[parquet\]'"):
        writing.check_parquet()
