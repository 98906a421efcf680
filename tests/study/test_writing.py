"""Tables as CSV, Markdown, LaTeX and Parquet."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from onnxplain.core.errors import OnnxplainError
from onnxplain.study import writing
from onnxplain.study.columns import gather_values
from onnxplain.study.tables import Table, summarise
from onnxplain.study.writing import (
    to_csv,
    to_latex,
    to_markdown,
    to_parquet,
    write_rows_parquet,
)
from tests.study.conftest import SEED, SHARE, make_score

TABLE = Table("T", ("a_b", "x|y", "n"), (("50 %", 1 / 3, 2), ("longer", None, 10)))


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


def test_latex_escapes_special_characters():
    text = to_latex(TABLE)
    assert r"\begin{tabular}{lrr}" in text
    assert "a\\_b & x\\textbar{}y & n \\\\" in text
    assert "50 \\% & 0.3333 & 2 \\\\" in text


def test_names_cannot_end_a_cell_or_a_line():
    table = Table("T", ("name",), (("[a]\nb<c>\\|*`",),))
    assert to_markdown(table).splitlines()[-1] == r"| \[a] b\<c>\\\|\*\` |"
    line = to_latex(table).splitlines()[5]
    assert line == r"{[}a] b\textless{}c\textgreater{}\textbackslash{}\textbar{}*` \\"


def test_parquet_holds_the_table():
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    rows = [make_score(i, i / 7, m) for i in range(4) for m in ("sp", "rise")]
    table = summarise(gather_values(rows, share=SHARE, seed=SEED), seed=SEED)
    written = parquet.read_table(io.BytesIO(to_parquet(table)))
    assert written.column_names == list(table.header)
    assert [tuple(line.values()) for line in written.to_pylist()] == list(table.lines)
    empty = Table("Nothing", ("a", "b"), ())
    assert parquet.read_table(io.BytesIO(to_parquet(empty))).column_names == ["a", "b"]


def test_rows_as_parquet_are_the_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    monkeypatch.setattr(writing, "_ROWS_AT_ONCE", 2)
    failed = {"status": "error", "error": "too dark"}
    rows = [make_score(i, i / 7) for i in range(5)] + [make_score(9, None, **failed)]
    write_rows_parquet([{"kind": "image"}, *rows], tmp_path / "rows.parquet")
    written = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [line["value"] for line in written] == [row["value"] for row in rows]
    assert written[5]["error"] == "too dark"
    assert json.loads(written[0]["metric_parameters"]) == {"step": 9}
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_error_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OnnxplainError, match=r"pip install 'onnxplain\[parquet\]'"):
        writing.check_parquet()
