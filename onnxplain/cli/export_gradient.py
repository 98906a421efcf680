"""``onnxplain export-gradient``: write the gradient of a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from onnxplain.cli.graph_files import (
    find_model_and_check_output,
    graph_output_option,
    write_graph,
)
from onnxplain.cli.models import add_description_options, get_model_flags
from onnxplain.cli.paths import FILE
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.sections import SectionedCommand
from onnxplain.core.data import ScoreKind
from onnxplain.loading import gradient_graph


@click.command(cls=SectionedCommand)
@click.argument("model", type=FILE)
@graph_output_option
@click.option(
    "--score",
    type=click.Choice(get_args(ScoreKind)),
    default="probability",
    show_default=True,
    help="Score of the target to differentiate.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="TENSOR",
    help="An inner tensor; the graph outputs it and its gradient.  May be given several times.",
)
@click.option(
    "--mask",
    type=click.IntRange(min=1),
    metavar="CELLS",
    help="Differentiate with respect to a mask of CELLS x CELLS instead of the image.",
)
@add_description_options
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    output: Path,
    score: ScoreKind,
    layers: tuple[str, ...],
    mask: int | None,
) -> None:
    """Write the gradient of MODEL as an ONNX graph of standard operators.

    Its inputs are the model's own and target (N,) of int64, a class for each image; its outputs
    the model's own, target_score (N,), and d_score/d_NAME for the image and every layer.
    With --mask it also takes a fill, as the model takes images, and a mask (N, CELLS, CELLS) in
    [0, 1] where 1 removes, which is enlarged bilinearly; image and fill have N rows or one.
    A model in float16 becomes one in float32, which takes and returns float32.
    """
    with report_errors(arguments=True):
        path = find_model_and_check_output(model, output)
        content = gradient_graph(
            path, score=score, layers=layers, mask=mask, **get_model_flags(ctx)
        )
    write_graph(output, content)
