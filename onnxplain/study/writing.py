"""Tables as CSV, Markdown, LaTeX and Parquet, and rows as Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from onnxplain.core.errors import OnnxplainError
from onnxplain.core.escaping import make_encodable
from onnxplain.core.files import open_replacement, wrap_write_errors
from onnxplain.core.markup import format_value
from onnxplain.study.rows import Row
from onnxplain.study.tables import Table


def to_csv(table: Table) -> str:
    """Format a table as comma-separated values; numbers have all digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([table.header, *table.lines])
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """Format a table in Markdown; numbers have four digits."""
    header, *lines = [[cell.translate(_MARKDOWN) for cell in line] for line in _format_lines(table)]
    rule = ["---:" if _is_number(table, i) else "---" for i in range(len(header))]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))
    return f"### {table.title}\n\n{rows}\n"


def to_latex(table: Table) -> str:
    """Format a table as a LaTeX tabular with the package booktabs; numbers have four digits."""
    header, *lines = [
        " & ".join(map(_escape_latex, line)) + r" \\" for line in _format_lines(table)
    ]
    alignment = "".join("r" if _is_number(table, i) else "l" for i in range(len(table.header)))
    parts = [
        f"% {table.title}",
        rf"\begin{{tabular}}{{{alignment}}}",
        *(r"\toprule", header, r"\midrule", *lines, r"\bottomrule"),
        r"\end{tabular}",
    ]
    return "\n".join(parts) + "\n"


def to_parquet(table: Table) -> bytes:
    """Format a table as an Apache Parquet file; numbers have all digits.

    Raises
    ------
    OnnxplainError
        If pyarrow is not installed.
    """
    arrow, parquet = _import_pyarrow()
    columns = zip(*table.lines, strict=True) if table.lines else ((),) * len(table.header)
    arrays = [arrow.array(list(column)) for column in columns]
    out = io.BytesIO()
    parquet.write_table(arrow.Table.from_arrays(arrays, names=list(table.header)), out)
    return out.getvalue()


def write_rows_parquet(rows: Iterable[Row], path: Path) -> None:
    """Write those rows that are scores as Parquet; mappings and lists become JSON.

    Parameters
    ----------
    rows : iterable of dict
        The rows, of which a thousand at a time are in memory.
    path : path
        The file, which is replaced once everything is written.

    Raises
    ------
    OnnxplainError
        If pyarrow is not installed.
    OutputError
        If the file cannot be written.
    """
    arrow, parquet = _import_pyarrow()
    types = {"text": arrow.string(), "whole": arrow.int64(), "number": arrow.float64()}
    schema = arrow.schema([(name, types[sort]) for name, sort in SCORE_COLUMNS.items()])
    scores = (row for row in rows if row["kind"] == "score")
    with (
        wrap_write_errors(path),
        open_replacement(path) as file,
        parquet.ParquetWriter(file, schema) as writer,
    ):
        while chunk := list(islice(scores, _ROWS_AT_ONCE)):
            lines = [{name: _to_cell(row.get(name)) for name in SCORE_COLUMNS} for row in chunk]
            writer.write_table(arrow.Table.from_pylist(lines, schema))


def check_parquet() -> None:
    """Check that Parquet can be written, before any work is done.

    Raises
    ------
    OnnxplainError
        If pyarrow is not installed.
    """
    _import_pyarrow()


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "csv": to_csv,
    "md": to_markdown,
    "tex": to_latex,
}


# The columns of scores in Parquet files and data frames, and their types.
SCORE_COLUMNS: Mapping[str, Literal["text", "whole", "number"]] = {
    **dict.fromkeys(("key", "status", "version", "model", "model_sha256"), "text"),
    **dict.fromkeys(("preprocessing", "image", "image_sha256", "target_name"), "text"),
    **dict.fromkeys(("target", "seed"), "whole"),
    **dict.fromkeys(("method", "method_parameters", "fill", "fill_parameters"), "text"),
    **dict.fromkeys(("metric", "metric_parameters"), "text"),
    **dict.fromkeys(("metric_fill", "metric_fill_parameters", "direction", "unit"), "text"),
    "value": "number",
    "alpha": "number",
    **dict.fromkeys(("error", "details"), "text"),
}
_ROWS_AT_ONCE = 1000


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise OnnxplainError(
            f"Parquet needs pyarrow ({error}); pip install 'onnxplain[parquet]'"
        ) from error
    return pyarrow, parquet


def _to_cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value)
    return make_encodable(value) if isinstance(value, str) else value


def _format_lines(table: Table) -> list[Sequence[str]]:
    return [table.header, *([_format_cell(cell) for cell in line] for line in table.lines)]


def _format_cell(value: Any) -> str:
    return "" if value is None else " ".join(format_value(value).splitlines())


def _is_number(table: Table, column: int) -> bool:
    cells = [line[column] for line in table.lines]
    return all(isinstance(cell, int | float | None) for cell in cells)


_MARKDOWN = str.maketrans({sign: rf"\{sign}" for sign in "\\|<*`["})
_LATEX = str.maketrans(
    {
        **{sign: rf"\{sign}" for sign in "&%$#_{}"},
        "[": "{[}",  # a line that begins with it would be an option of the line before
        # These are other signs in LaTeX's usual encoding of fonts.
        **{"|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
    }
)


def _escape_latex(text: str) -> str:
    return text.translate(_LATEX)
