"""``onnxplain report``: results as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from onnxplain.cli.models import add_description_options, get_model_flags
from onnxplain.cli.paths import FILE, PATH
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.terminal import show
from onnxplain.report import LIMIT, write_report
from onnxplain.report.live import Live


@click.command(
    epilog="""Exit code: 0, everything was read; 1, something could not be read, and the report of
the rest was written, or there was no rest; 2, the command line is wrong.

\b
onnxplain report explanations
onnxplain report evaluation --images photos -o report.html
onnxplain report explanations/cat-*.npz --title "Cats"
onnxplain report explanations --live
""",
)
@click.argument("results", nargs=-1, required=True, type=PATH, metavar="FOLDER|FILES...")
@click.option(
    "-o",
    "--output",
    type=PATH,
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="The HTML file, a .html, which is replaced.",
)
@click.option(
    "--images",
    type=PATH,
    metavar="DIR",
    help="The folder of the images that were evaluated.",
)
@click.option(
    "--heatmaps",
    type=PATH,
    metavar="DIR",
    help="The folder in which evaluate kept heatmaps.  [default: what is below FOLDER]",
)
@click.option("--title", default="", help="Title of the page.  [default: made from its content]")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=LIMIT,
    show_default=True,
    metavar="N",
    help="Show at most N photos.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Put the classifier into the page, which then lets its reader erase parts of a photo. "
    "The page has at most 60 MB.",
)
@click.option(
    "--model",
    type=FILE,
    metavar="FILE|NAME",
    help="The classifier of --live.  [default: the one of the results, if it is here]",
)
@click.option(
    "--runtime",
    type=PATH,
    metavar="DIR",
    help="A folder with npm's onnxruntime-web for --live.  [default: npm fetches it once]",
)
@add_description_options
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.pass_context
def command(
    ctx: click.Context,
    results: tuple[Path, ...],
    output: Path,
    images: Path | None,
    heatmaps: Path | None,
    title: str,
    limit: int,
    live: bool,
    model: str | None,
    runtime: Path | None,
    quiet: bool,
) -> None:
    """Show results of explain and evaluate in one HTML file.

    The page needs no network, no server and no other file. It shows photos, maps and overlays side
    by side, compares methods, steps through curves, and names parameters and checksums.
    """
    flags = get_model_flags(ctx)
    if not live and (model or runtime or flags):
        raise click.UsageError("--model, --runtime and what describes a model go with --live")
    with report_errors(arguments=True):
        broken = write_report(
            results,
            output,
            images=images,
            heatmaps=heatmaps,
            title=title,
            limit=limit,
            live=Live(model, runtime, flags) if live else None,
        )
    for failure in broken:
        show(f"Error: {failure.reason}", err=True)
    if not quiet:
        show(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    if broken:
        ctx.exit(1)
