"""The value that an evaluation returns."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from onnxplain.core.errors import OnnxplainError, OutputError
from onnxplain.study.plan import Plan
from onnxplain.study.result import Study
from onnxplain.study.rows import RowFile
from onnxplain.study.writing import SCORE_COLUMNS
from tests.study.conftest import make_score


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study of three scores, the second of which failed, and the third only at first."""
    store = RowFile(tmp_path / "rows.jsonl")
    failed = {"status": "error", "error": "too dark"}
    store.append([{"key": "image", "status": "done", "kind": "image"}])
    store.append(
        [{"key": "a", **make_score(0, 0.5)}, {"key": "b", **make_score(1, None, **failed)}]
    )
    store.append([{"key": "c", **make_score(2, None, **failed)}])
    store.append([{"key": "other", **make_score(9, 9.0)}, {"key": "c", **make_score(2, 0.25)}])
    return Study(Plan(held_out=0.0), tmp_path, frozenset(("image", "a", "b", "c")))


def test_rows_are_the_last_ones_of_the_study(study: Study):
    assert [(row["key"], row["status"]) for row in study.rows] == [
        ("image", "done"),
        ("a", "done"),
        ("b", "error"),
        ("c", "done"),
    ]
    assert len(list(study.iterate_rows())) == 5


def test_failures_are_rows_that_did_not_work_in_the_end(study: Study):
    assert [(row["key"], row["error"]) for row in study.failures] == [("b", "too dark")]


def test_tables_are_made_of_the_rows_of_the_study(study: Study):
    means = study.tables["means"]
    (line,) = means.lines
    facts = dict(zip(means.header, line, strict=True))
    assert (facts["n"], facts["mean"], facts["failed"]) == (2, 0.375, 1)
    assert set(study.tables) == {"means", "pairs", "by-method"}


def test_tables_are_written_in_every_format(study: Study):
    study.write_tables()
    names = ("means", "pairs", "by-method")
    expected = {f"{name}.{suffix}" for name in names for suffix in ("csv", "md", "tex")}
    assert {path.name for path in study.output.iterdir()} == {"rows.jsonl", "keys.txt", *expected}
    assert set((study.output / "keys.txt").read_text().split()) == study.keys


def test_parquet_is_written_on_demand(study: Study):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    study.write_parquet()
    scores = parquet.read_table(study.output / "rows.parquet").to_pylist()
    assert [line["key"] for line in scores] == ["a", "b", "c"]
    assert [line["value"] for line in scores] == [0.5, None, 0.25]
    assert parquet.read_table(study.output / "means.parquet").column("mean").to_pylist() == [0.375]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": 3}, "kind"),
        ({"value": "high"}, "value"),
        ({"details": []}, "details"),
        ({"metric_parameters": None}, "metric_parameters"),
        ({"image": None}, "image"),
        ({"method": ...}, "method"),
    ],
)
def test_row_that_lacks_a_field_is_an_error_that_names_it(
    study: Study, change: dict[str, object], field: str
):
    row = {"key": "b", **make_score(1, 0.5), **change}
    kept = {name: value for name, value in row.items() if value is not ...}
    RowFile(study.output / "rows.jsonl").append([kept])
    with pytest.raises(OutputError, match=rf"rows\.jsonl: the row with the key b .*: {field};"):
        _ = study.tables


def test_data_frame_gets_one_line_per_score(study: Study, monkeypatch: pytest.MonkeyPatch):
    def make_frame(lines: list[list[object]], columns: list[str]) -> list[dict[str, object]]:
        return [dict(zip(columns, line, strict=True)) for line in lines]

    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=make_frame))
    frame = study.to_pandas()
    assert [line["value"] for line in frame] == [0.5, None, 0.25]
    assert list(frame[0]) == list(SCORE_COLUMNS)
    assert frame[0]["metric_parameters"] == {"step": 9}


def test_data_frame_of_pandas_has_the_values(study: Study):
    pytest.importorskip("pandas")
    frame = study.to_pandas()
    assert frame.groupby("method")["value"].mean().to_dict() == {"sp": 0.375}


def test_error_without_pandas_names_it(study: Study, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(OnnxplainError, match="pip install pandas"):
        study.to_pandas()


def test_a_notebook_shows_the_means_and_the_failures(study: Study):
    shown = study._repr_html_()
    for cell in study.tables["means"].header:
        assert f">{cell}</th>" in shown
    assert ">0.375<" in shown  # the mean of 0.5 and 0.25
    assert "1 of 4 rows failed." in shown
    assert "<script" not in shown
