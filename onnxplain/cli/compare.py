"""``onnxplain compare``: measure how similar two heatmaps are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click

from onnxplain.cli.paths import PATH
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.terminal import show, show_json
from onnxplain.core.arrays import read_npy
from onnxplain.core.data import Box, Heatmap, Size
from onnxplain.core.errors import OutputError
from onnxplain.image import is_same_part
from onnxplain.metrics import SSIM, HOGCorrelation, PairMetric, Spearman, scale_to_unit
from onnxplain.metrics.base import format_part
from onnxplain.results import find_npz, load_explanation
from onnxplain.results.explanation import find_part_seen


@click.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.option(
    "--scale/--no-scale",
    default=True,
    show_default=True,
    help="Whether to divide each heatmap by its largest absolute value first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(first: Path, second: Path, scale: bool, as_json: bool) -> None:
    """Compare two heatmaps: SSIM, correlation of HOG features, rank correlation.

    FIRST and SECOND are .npz files from onnxplain explain, or .npy files with an array (rows,
    columns). Both must have the same shape, and show the same part of the photo. A value of 1
    means that they are equal.
    """
    metrics: tuple[PairMetric, ...] = (SSIM(), HOGCorrelation(), Spearman())
    with report_errors(arguments=True):
        heatmaps, parts = zip(*map(_read_heatmap, (first, second)), strict=True)
        _check_parts(parts, heatmaps[1].shape)
        maps = [scale_to_unit(heatmap) if scale else heatmap for heatmap in heatmaps]
        values = {metric.name: metric.compare(*maps) for metric in metrics}
    if as_json:
        defined = {name: value if math.isfinite(value) else None for name, value in values.items()}
        show_json(defined)
        return
    for name, value in values.items():
        show(f"{name:<8}  {value:.4f}" if math.isfinite(value) else f"{name:<8}  undefined")


def _read_heatmap(path: Path) -> tuple[Heatmap, Box | None]:
    """Read a heatmap, and which part of its photo it shows, if that is known."""
    path = find_npz(path)
    if path.suffix.lower() == ".npz":
        explanation = load_explanation(path)
        return explanation.heatmap, find_part_seen(explanation)
    try:
        heatmap: Heatmap = read_npy(path)
    except (OSError, ValueError, EOFError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no array of numbers"
        raise OutputError(f"{path}: is not a heatmap in .npy or .npz: {why}") from error
    return heatmap, None


def _check_parts(parts: Sequence[Box | None], size: Size) -> None:
    first, second = parts
    if first is not None and second is not None and not is_same_part(first, second, size):
        raise ValueError(
            f"the first map shows {format_part(first)} of its photo, the second "
            f"{format_part(second)}: their pixels are other places; compare the full_heatmap of "
            f"both, as .npy"
        )
