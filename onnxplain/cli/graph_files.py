"""What the commands share that write an ONNX graph made from a model."""

from __future__ import annotations

from pathlib import Path

import click

from onnxplain.cli.models import check_output_is_not_model
from onnxplain.cli.paths import OUTPUT_FILE
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.terminal import show
from onnxplain.core.files import check_ending, wrap_write_errors, write_atomic
from onnxplain.loading import find_model

graph_output_option = click.option(
    "-o",
    "--output",
    required=True,
    type=OUTPUT_FILE,
    metavar="FILE",
    help="The ONNX file to write.",
)


def find_model_and_check_output(model: str, output: Path) -> Path:
    """Find the file of a model, and check that its graph may be written to the output.

    Raises
    ------
    ModelError, ZooError
        If there is no such model.
    ValueError
        If the output is the model itself, or no ``.onnx``.
    """
    path = find_model(model)
    check_output_is_not_model(path, output)
    check_ending(output, ".onnx", "the graph")
    return path


def write_graph(output: Path, content: bytes) -> None:
    """Write a graph, whole or not at all, and print where."""
    with report_errors(), wrap_write_errors(output):
        write_atomic(output, content)
    show(output)
