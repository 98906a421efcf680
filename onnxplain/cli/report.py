"""``onnxplain report``: results as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from onnxplain.cli.reporting import report_errors
from onnxplain.cli.terminal import show
from onnxplain.report import LIMIT, write_report


@click.command(
    epilog="""Exit code: 0, everything was read; 1, something could not be read, and the report of
the rest was written, or there was no rest; 2, the command line is wrong.

\b
onnxplain report explanations
onnxplain report evaluation --images photos -o report.html
onnxplain report explanations/cat-*.npz --title "Cats"
""",
)
@click.argument(
    "results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FOLDER|FILES..."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="The HTML file, which is replaced.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder of the images that were evaluated.",
)
@click.option(
    "--heatmaps",
    type=click.Path(path_type=Path),
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
    quiet: bool,
) -> None:
    """Show results of explain and evaluate in one HTML file.

    The page needs no network, no server and no other file. It shows photos, maps and overlays side
    by side, compares methods, walks along curves, and names parameters and checksums.
    """
    with report_errors():
        broken = write_report(
            results, output, images=images, heatmaps=heatmaps, title=title, limit=limit
        )
    for failure in broken:
        show(f"Error: {failure.reason}", err=True)
    if not quiet:
        show(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    if broken:
        ctx.exit(1)
