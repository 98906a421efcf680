"""The result of an evaluation: rows, tables and failures, read from its folder on demand."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from onnxplain.core.errors import OnnxplainError, OutputError
from onnxplain.core.files import wrap_write_errors, write_atomic
from onnxplain.core.markup import format_html_table
from onnxplain.study.columns import Column, find_wrong_fields, gather_values
from onnxplain.study.overview import describe_limits
from onnxplain.study.plan import Plan
from onnxplain.study.rows import Row, read_rows
from onnxplain.study.tables import Table, arrange_by_method, compare_pairs, summarise
from onnxplain.study.writing import FORMATS, SCORE_COLUMNS, to_parquet, write_rows_parquet

ROWS_FILE = "rows.jsonl"
KEYS_FILE = "keys.txt"  # which of the rows the tables are made of


@dataclass(frozen=True, eq=False)
class Study:
    """The result of `onnxplain.evaluate`.

    Parameters
    ----------
    plan : Plan
        Says what was compared.
    output : Path
        The folder with the rows (``rows.jsonl``) and tables. A temporary folder is removed
        when the study is no longer used.
    keys : frozenset of str
        Keys of the study's rows; the file may hold other rows.
    notices : tuple of str
        Problems with the labels, one sentence each.
    """

    plan: Plan
    output: Path
    keys: frozenset[str] = field(repr=False)
    notices: tuple[str, ...] = ()
    # Keeps a temporary folder as long as the study exists.
    _folder: object = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Study({len(self.keys)} rows in {str(self.output)!r})"

    def _repr_html_(self) -> str:
        """Return the means, and how much failed, as a table for notebooks."""
        failed = f"{len(self.failures)} of {len(self.keys)} rows failed. " if self.failures else ""
        note = failed + " ".join(f"{limit[0].upper()}{limit[1:]}." for limit in self.limits)
        means = self.tables["means"]
        return format_html_table(means.header, means.lines, title=repr(self), note=note)

    def iterate_rows(self) -> Iterator[Row]:
        """Yield the rows of the study as they were written, one at a time.

        Work that was repeated has several rows; the last one counts.
        """
        path = self.output / ROWS_FILE
        for row in read_rows(path):
            if row["key"] in self.keys:
                if wrong := find_wrong_fields(row):
                    raise OutputError(
                        f"{path}: the row with the key {row['key']} is not as it was written: "
                        f"{', '.join(wrong)}; remove the line, and it is done again"
                    )
                yield row

    @cached_property
    def rows(self) -> list[Row]:
        """One row per image, and one per image, method and metric, in the order of the work."""
        return list({row["key"]: row for row in self.iterate_rows()}.values())

    @cached_property
    def failures(self) -> tuple[Row, ...]:
        """The rows of work that failed; ``error`` says why."""
        last: dict[str, Row | None] = {}
        for row in self.iterate_rows():
            last[row["key"]] = row if row["status"] == "error" else None
        return tuple(row for row in last.values() if row is not None)

    @cached_property
    def _columns(self) -> list[Column]:
        share, seed = self.plan.held_out, self.plan.seed
        return gather_values(self.iterate_rows(), share=share, seed=seed)

    @cached_property
    def limits(self) -> tuple[str, ...]:
        """What the study cannot show because it has few images, one sentence per kind."""
        return tuple(describe_limits(self.tables["means"], self.tables["pairs"]))

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """The tables ``means``, ``pairs`` (paired tests) and ``by-method``."""
        seed, columns = self.plan.seed, self._columns
        return {
            "means": summarise(columns, seed=seed),
            "pairs": compare_pairs(columns, seed=seed),
            "by-method": arrange_by_method(columns),
        }

    def write_tables(self) -> None:
        """Write the tables into the output folder as CSV, Markdown and LaTeX, and their keys.

        Raises
        ------
        OutputError
            If a file cannot be written.
        """
        for name, table in self.tables.items():
            for suffix, format_table in FORMATS.items():
                _write(self.output / f"{name}.{suffix}", format_table(table).encode())
        keys = "".join(f"{key}\n" for key in sorted(self.keys))
        _write(self.output / KEYS_FILE, keys.encode())

    def write_parquet(self) -> None:
        """Write the tables and all scores into the output folder as Parquet.

        Of work that was repeated, the last score is written.

        Raises
        ------
        OnnxplainError
            If pyarrow is not installed.
        OutputError
            If a file cannot be written.
        """
        for name, table in self.tables.items():
            _write(self.output / f"{name}.parquet", to_parquet(table))
        last = {row["key"]: place for place, row in enumerate(self.iterate_rows())}
        rows = (row for place, row in enumerate(self.iterate_rows()) if last[row["key"]] == place)
        write_rows_parquet(rows, self.output / "rows.parquet")

    def to_pandas(self) -> Any:
        """Return the scores as a data frame with one line per image, method and metric.

        Returns
        -------
        frame : pandas.DataFrame
            The columns are those of the Parquet file; parameters and details are mappings.

        Raises
        ------
        OnnxplainError
            If pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise OnnxplainError(
                f"a data frame needs pandas ({error}); pip install pandas"
            ) from error
        scores = [row for row in self.rows if row["kind"] == "score"]
        lines = [[row.get(name) for name in SCORE_COLUMNS] for row in scores]
        return pandas.DataFrame(lines, columns=list(SCORE_COLUMNS))


def _write(path: Path, content: bytes) -> None:
    with wrap_write_errors(path):
        write_atomic(path, content)
