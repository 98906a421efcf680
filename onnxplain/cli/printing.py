"""What ``onnxplain evaluate`` prints and writes of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from onnxplain.cli.progress import clear_line
from onnxplain.core.files import wrap_write_errors, write_atomic
from onnxplain.study import tables
from onnxplain.study.plan import Plan
from onnxplain.study.rows import Row, read_rows
from onnxplain.study.writing import FORMATS, as_parquet, as_text, write_rows_parquet


def tell(rows: Iterable[Row]) -> None:
    """What failed, as it happens."""
    for row in rows:
        if row["status"] == "error":
            clear_line()
            parts = (row["image"], row.get("method"), row.get("metric"))
            where = ", ".join(part for part in parts if part)
            click.echo(f"Error: {where}: {row['error']}", err=True)


def current(path: Path, keys: set[str]) -> Iterator[Row]:
    """The rows of this study, read one at a time, as their curves would fill memory."""
    return (row for row in read_rows(path) if row["key"] in keys)


def report(
    rows: Callable[[], Iterator[Row]], plan: Plan, output: Path, *, parquet: bool, quiet: bool
) -> None:
    """Print the tables and write them."""
    columns = tables.gather_values(rows(), share=plan.held_out, seed=plan.seed)
    made = {
        "means": tables.summarise(columns, seed=plan.seed),
        "pairs": tables.compare_pairs(columns, seed=plan.seed),
        "by-method": tables.by_method(columns),
    }
    for name, table in made.items():
        for suffix, text in FORMATS.items():
            _write(output / f"{name}.{suffix}", text(table).encode())
        if parquet:
            _write(output / f"{name}.parquet", as_parquet(table))
    if parquet:
        write_rows_parquet(rows(), output / "rows.parquet")
    if not quiet:
        click.echo("\n".join(_images(rows(), only_correct=plan.only_correct)), err=True)
    click.echo(as_text(made["means"]))
    click.echo(as_text(made["pairs"]), nl=False)


def _images(rows: Iterable[Row], *, only_correct: bool) -> list[str]:
    """How many images each classifier got right."""
    last = {row["key"]: (row["model"], _verdict(row)) for row in rows if row["kind"] == "image"}
    counts = Counter(last.values())
    told = []
    for model in dict.fromkeys(model for model, _ in last.values()):
        line = (
            f"{model}: {counts[model, 'done']} images classified correctly, "
            f"{counts[model, 'wrong']} wrongly, {counts[model, 'error']} failed"
        )
        if n := counts[model, "unlabelled"]:
            line += f"; {n} without a label, of which the predicted class is explained"
        if only_correct and not counts[model, "done"] and counts[model, "wrong"] and not n:
            line += "; --all-images judges those that are classified wrongly as well"
        told.append(line)
    return told


def _verdict(row: Row) -> str:
    unlabelled = row["status"] == "done" and not row.get("labelled", True)
    return "unlabelled" if unlabelled else str(row["status"])


def _write(path: Path, content: bytes) -> None:
    with wrap_write_errors(path):
        write_atomic(path, content)
