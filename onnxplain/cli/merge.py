"""``onnxplain merge``: join the rows of several runs in one file."""

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

    Each row is kept once; rows that are already in OUTPUT stay. To make the tables, run onnxplain
    evaluate with the folder of OUTPUT as --output: all the work is already done.
    """
    with report_errors():
        n_rows = merge_rows(files, output)
    show(f"{output}: {n_rows} rows")
