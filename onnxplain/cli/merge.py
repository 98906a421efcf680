"""``onnxplain merge``: rows of several runs in one file."""

from __future__ import annotations

from pathlib import Path

import click

from onnxplain.cli.reporting import report_errors
from onnxplain.cli.terminal import show
from onnxplain.study.rows import merge_rows


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
def command(output: Path, files: tuple[Path, ...]) -> None:
    """Join the rows (rows.jsonl) of several runs of onnxplain evaluate into OUTPUT.

    Each row is kept once, including those that OUTPUT already holds. onnxplain evaluate on the
    joined rows finds everything done and makes the tables.
    """
    with report_errors():
        n_rows = merge_rows(files, output)
    show(f"{output}: {n_rows} rows")
