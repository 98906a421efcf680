"""``onnxplain layers``: list the layers that methods can look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from onnxplain.cli.models import add_description_options, get_model_flags
from onnxplain.cli.paths import FILE, PATH
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.sections import SectionedCommand
from onnxplain.cli.terminal import show, show_json
from onnxplain.loading import ListedLayer, list_layers, load
from onnxplain.methods.layers.combined import Base
from onnxplain.study.weighing import LayerWeights, weigh_layers


@click.command(cls=SectionedCommand)
@click.argument("model", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per layer.")
@click.option(
    "--weigh",
    "photos",
    type=PATH,
    metavar="FOLDER",
    help="Weigh the stages for --method combined by how often their maps point at the objects of "
    "these labelled photos.",
)
@click.option(
    "--annotations",
    type=PATH,
    metavar="FILE",
    help="With --weigh: classes and boxes of the photos, as for onnxplain evaluate.",
)
@click.option(
    "--base",
    type=click.Choice(get_args(Base)),
    default="norm-grad",
    show_default=True,
    help="With --weigh: the method that makes a map of each stage.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="With --weigh: take N photos."
)
@add_description_options
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    as_json: bool,
    photos: Path | None,
    annotations: Path | None,
    base: Base,
    limit: int | None,
) -> None:
    """List the layers of MODEL that methods such as grad-cam can look at.

    These are the tensors with a grid of positions through which alone the scores depend on the
    image, in order, with their shape (channels x rows x columns), what makes them, and their
    names besides the tensor's own: last is the default, stage:2 the second resolution. Other
    tensors and nodes can be named too. With --weigh, the last line is what to write after
    --method.
    """
    if photos is not None:
        with report_errors(arguments=True):
            weighed = weigh_layers(
                load(model, **get_model_flags(ctx)),
                photos,
                annotations=annotations,
                base=base,
                limit=limit,
            )
        _print_weights(weighed, as_json=as_json)
        return
    for option in ("annotations", "base", "limit"):
        if ctx.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{option} belongs to --weigh FOLDER; add it")
    with report_errors(arguments=True):
        listed = list_layers(model, **get_model_flags(ctx))
    if as_json:
        for entry in listed:
            show_json(_describe(entry))
        return
    rows = [
        ("x".join(map(str, e.layer.shape)), e.producer, ", ".join(e.names), e.layer.tensor)
        for e in listed
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for entry, row in zip(listed, rows, strict=True):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False))
        note = f"  ({entry.layer.note})" if entry.layer.note and "last" in entry.names else ""
        show(f"{'  '.join(cells)}  {row[3]}{note}")


def _print_weights(weighed: LayerWeights, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "base": weighed.base,
                "layers": list(weighed.layers),
                "accuracies": list(weighed.accuracies),
                "photos": weighed.n,
                "weights": weighed.text,
            }
        )
        return
    show(f"Accuracy in the pointing game on {weighed.n} photos:")
    for name, accuracy in zip(weighed.layers, weighed.accuracies, strict=True):
        show(f"{accuracy:.3f}  {name}")
    show(f"combined:base={weighed.base},weights={weighed.text}")


def _describe(entry: ListedLayer) -> dict[str, Any]:
    layer = entry.layer
    return {
        "tensor": layer.tensor,
        "shape": list(layer.shape),
        "axes": layer.axes,
        "prefix": layer.prefix,
        "is_cut": layer.is_cut,
        "producer": entry.producer,
        "names": list(entry.names),
        "note": layer.note,
    }
