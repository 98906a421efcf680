"""``onnxplain patterns``: estimate the patterns of a model's neurons from photos."""

from __future__ import annotations

from pathlib import Path

import click

from onnxplain.cli.explain_images import find_images
from onnxplain.cli.models import (
    add_description_options,
    check_output_is_not_model,
    get_model_flags,
    max_pixels_option,
)
from onnxplain.cli.outcomes import show_failure
from onnxplain.cli.paths import FILE, OUTPUT_FILE
from onnxplain.cli.progress import show_progress
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.sections import SectionedCommand
from onnxplain.cli.terminal import show
from onnxplain.loading import find_model
from onnxplain.study.patterns import estimate_patterns


@click.command(cls=SectionedCommand)
@click.argument("model", type=FILE)
@click.argument("photos", nargs=-1, required=True, metavar="PHOTOS...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=OUTPUT_FILE,
    metavar="FILE",
    help="The .npz file to write.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take the first N photos.  [default: all]",
)
@click.option("--recursive", is_flag=True, help="Also look for photos in folders of folders.")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="DEVICE",
    help="auto, cpu, cuda or cuda:N.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
@max_pixels_option
@add_description_options
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    photos: tuple[str, ...],
    output: Path,
    limit: int | None,
    recursive: bool,
    device: str,
    quiet: bool,
    max_pixels: int,
) -> None:
    """Estimate what the inputs of each neuron of MODEL have in common with its output.

    The methods pattern-net and pattern-attribution read the file. PHOTOS are files, folders or
    patterns of names; labels are not needed, and a few hundred photos are enough. An interrupted
    run goes on where it was when it is started again with the same photos.
    """
    with report_errors(arguments=True):
        path = find_model(model)
        check_output_is_not_model(path, output)
        found = find_images(photos, recursive=recursive)
    for failure in found.failures:
        show_failure(failure, as_json=False)
    if not found.images:
        ctx.exit(1)
    with (
        show_progress(shown=not quiet, label="photos") as move,
        report_errors(arguments=True),
    ):
        patterns = estimate_patterns(
            path,
            found.images[:limit],
            output,
            device=device,
            max_pixels=max_pixels,
            on_progress=lambda done, total: move(done, total, 0),
            **get_model_flags(ctx),
        )
    dead = ", ".join(f"{count} dead by {name}" for name, count in patterns.facts["dead"].items())
    if not quiet:
        show(
            f"layers: {len(patterns.by_layer)}, photos: {patterns.facts['photos']}; {dead}",
            err=True,
        )
    show(output)
    if found.failures:
        ctx.exit(1)
