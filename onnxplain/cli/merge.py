"""``onnxplain merge``: join the rows of several runs in one file."""

from __future__ import annotations

from pathlib import Path

import click

from onnxplain.cli.paths import PATH
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.terminal import show
from onnxplain.study.result import ROWS_FILE
from onnxplain.study.rows import merge_rows


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="FOLDER...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=PATH,
    metavar="DIR",
    help="Folder for the joined rows, or a file that ends in .jsonl.",
)
def command(runs: tuple[Path, ...], output: Path) -> None:
    """Join the rows of several runs of onnxplain evaluate, each a FOLDER or its rows.jsonl.

    Each row is kept once; rows that are already in the output stay. To make the tables, run
    onnxplain evaluate with the same --output: all the work is already done.
    """
    joined = output if output.suffix.lower() == ".jsonl" else output / ROWS_FILE
    with report_errors():
        n_rows = merge_rows([run / ROWS_FILE if run.is_dir() else run for run in runs], joined)
    show(f"{joined}: {n_rows} rows")
