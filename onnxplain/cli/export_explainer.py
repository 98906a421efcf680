"""``onnxplain export-explainer``: write a model and the explanation of its scores as one file."""

from __future__ import annotations

from pathlib import Path

import click

from onnxplain import registry
from onnxplain.cli.graph_files import (
    find_model_and_check_output,
    graph_output_option,
    write_graph,
)
from onnxplain.cli.models import add_description_options, get_model_flags
from onnxplain.cli.parameters import make_entry_completer
from onnxplain.cli.paths import FILE
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.sections import SectionedCommand
from onnxplain.loading import export_explainer


@click.command(cls=SectionedCommand)
@click.argument("model", type=FILE)
@click.option(
    "--method",
    required=True,
    shell_complete=make_entry_completer(registry.get_methods()),
    metavar="NAME[:KEY=VALUE,...]",
    help="A gradient, a class activation map, lrp or one of its kin, with parameters if you like: "
    "grad-cam:layer=stage:3 or ig:n_points=32,tolerance=0.",
)
@click.option(
    "--fill",
    shell_complete=make_entry_completer(registry.get_fills()),
    metavar="NAME[:KEY=VALUE,...]",
    help="What ig and input-x-gradient compare the image with: black, white, dataset-mean or "
    "colour.  [default: that of the method's paper]",
)
@graph_output_option
@add_description_options
@click.pass_context
def command(ctx: click.Context, model: str, method: str, fill: str | None, output: Path) -> None:
    """Write MODEL with a method's heatmap as an ONNX graph of standard operators.

    Its inputs are the model's own and target (N,) of int64, a class for each image; its outputs
    the model's own and heatmap (N, H, W), which is that of onnxplain explain. Methods that draw
    at random or search, such as smoothgrad and rise, cannot be written as a graph.
    """
    with report_errors(arguments=True):
        path = find_model_and_check_output(model, output)
        content = export_explainer(path, method, fill=fill, **get_model_flags(ctx))
    write_graph(output, content)
