"""Tables as text, CSV, Markdown, LaTeX and Parquet, and rows as Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from onnxplain.core.errors import OnnxplainError
from onnxplain.core.files import open_replacement, wrap_write_errors
from onnxplain.study.rows import Row
from onnxplain.study.tables import Table


def as_text(table: Table) -> str:
    """Aligned columns for the terminal, numbers to four digits."""
    lines = _shown(table)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "\n".join([table.title, *rows]) + "\n"


def as_csv(table: Table) -> str:
    """Comma-separated values, numbers to their last digit."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([table.header, *table.lines])
    return out.getvalue()


def as_markdown(table: Table) -> str:
    """A Markdown table, numbers to four digits."""
    header, *lines = [[cell.replace("|", r"\|") for cell in line] for line in _shown(table)]
    rule = ["---:" if _is_number(table, i) else "---" for i in range(len(header))]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))
    return f"### {table.title}\n\n{rows}\n"


def as_latex(table: Table) -> str:
    """A LaTeX tabular for the package booktabs, numbers to four digits."""
    header, *lines = [" & ".join(map(_escaped, line)) + r" \\" for line in _shown(table)]
    alignment = "".join("r" if _is_number(table, i) else "l" for i in range(len(table.header)))
    parts = [
        f"% {table.title}",
        rf"\begin{{tabular}}{{{alignment}}}",
        *(r"\toprule", header, r"\midrule", *lines, r"\bottomrule"),
        r"\end{tabular}",
    ]
    return "\n".join(parts) + "\n"


def as_parquet(table: Table) -> bytes:
    """An Apache Parquet file with the table's columns, numbers to their last digit.

    Raises
    ------
    OnnxplainError
        If pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    columns = zip(*table.lines, strict=True) if table.lines else ((),) * len(table.header)
    arrays = [arrow.array(list(column)) for column in columns]
    out = io.BytesIO()
    parquet.write_table(arrow.Table.from_arrays(arrays, names=list(table.header)), out)
    return out.getvalue()


def write_rows_parquet(rows: Iterable[Row], path: Path) -> None:
    """Write the scores among some rows as Parquet: a column a fact, tables and lists as JSON.

    Parameters
    ----------
    rows : iterable of dict
        Read one at a time; some thousand are held.
    path : path
        Is replaced when all is written.

    Raises
    ------
    OnnxplainError
        If pyarrow is not installed.
    OutputError
        If the file cannot be written.
    """
    arrow, parquet = _pyarrow()
    kinds = {"text": arrow.string(), "whole": arrow.int64(), "number": arrow.float64()}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in _COLUMNS.items()])
    scores = (row for row in rows if row["kind"] == "score")
    with (
        wrap_write_errors(path),
        open_replacement(path) as file,
        parquet.ParquetWriter(file, schema) as writer,
    ):
        while some := list(islice(scores, _ROWS_AT_ONCE)):
            lines = [{name: _plain(row.get(name)) for name in _COLUMNS} for row in some]
            writer.write_table(arrow.Table.from_pylist(lines, schema))


def check_parquet() -> None:
    """Refuse before any work is done what could not be written after it.

    Raises
    ------
    OnnxplainError
        If pyarrow is not installed.
    """
    _pyarrow()


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "csv": as_csv,
    "md": as_markdown,
    "tex": as_latex,
}


# What Parquet has of a row that judges a heatmap.
_COLUMNS: Mapping[str, Literal["text", "whole", "number"]] = {
    **dict.fromkeys(("key", "status", "version", "model", "model_sha256"), "text"),
    **dict.fromkeys(("preprocessing", "image", "image_sha256", "target_name"), "text"),
    **dict.fromkeys(("target", "seed"), "whole"),
    **dict.fromkeys(("method", "method_parameters", "fill", "fill_parameters"), "text"),
    **dict.fromkeys(("metric", "metric_parameters"), "text"),
    **dict.fromkeys(("metric_fill", "metric_fill_parameters", "direction", "unit"), "text"),
    "value": "number",
    **dict.fromkeys(("error", "details"), "text"),
}
_ROWS_AT_ONCE = 1000


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise OnnxplainError(
            f"Parquet needs pyarrow ({error}); pip install 'onnxplain[parquet]'"
        ) from error
    return pyarrow, parquet


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


def _shown(table: Table) -> list[Sequence[str]]:
    return [table.header, *([_cell(cell) for cell in line] for line in table.lines)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(table: Table, column: int) -> bool:
    cells = [line[column] for line in table.lines]
    return all(isinstance(cell, int | float | None) for cell in cells)


_LATEX = str.maketrans(
    {
        **{sign: rf"\{sign}" for sign in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
    }
)


def _escaped(text: str) -> str:
    return text.translate(_LATEX)
