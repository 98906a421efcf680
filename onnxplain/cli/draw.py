"""``onnxplain draw``: pictures of saved explanations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from onnxplain.cli.parameters import ParameterOptions
from onnxplain.cli.paths import PATH
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.terminal import show
from onnxplain.core.errors import OutputError
from onnxplain.core.files import check_ending, wrap_write_errors
from onnxplain.core.params import build
from onnxplain.drawing import SheetLook, draw_removal, draw_sheet
from onnxplain.image import write_png
from onnxplain.results import Explanation, find_npz, load_explanation

SHEETS = ParameterOptions("sheet", "", {"sheet": SheetLook})


@click.command(
    epilog="""\b
onnxplain explain photos/*.jpg --method rise
onnxplain explain photos/*.jpg --method grad-cam
onnxplain draw explanations -o sheet.png
onnxplain draw explanations --style map --scale shared -o maps.png
onnxplain draw explanations/photo-mp2-espresso.npz --order -o order.png
""",
)
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option(
    "-o",
    "--output",
    type=PATH,
    default="sheet.png",
    show_default=True,
    metavar="FILE",
    help="The picture, a .png, which is replaced if it exists.",
)
@click.option(
    "--order",
    is_flag=True,
    help="Draw the order in which mp2 removed cells, of one explanation.",
)
@SHEETS.add_options
@click.pass_context
def command(ctx: click.Context, files: tuple[Path, ...], output: Path, order: bool) -> None:
    """Draw saved explanations as one picture.

    A FILE is one of the three that onnxplain explain writes of an explanation, or a folder of
    them. Each image has a column, with its photo above; methods, fills, parameters, classifiers
    and targets have rows.
    """
    with report_errors(arguments=True):
        look = build(SheetLook, SHEETS.get_parameters(ctx, "sheet"))
        check_ending(output, ".png", "the picture")
        explanations = [load_explanation(path) for path in _find_files(files)]
        if order and len(explanations) != 1:
            raise ValueError(f"--order draws one explanation, got {len(explanations)}")
        picture = draw_removal(explanations[0]) if order else draw_sheet(explanations, look)
    with report_errors(), wrap_write_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        write_png(output, np.asarray(picture))
    show(f"{output}: {_count(explanations)}, {picture.width} x {picture.height} pixels")


def _find_files(given: Sequence[Path]) -> list[Path]:
    """List the files of explanations, those of folders by name, and each of them once."""
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(find_npz(path))
            continue
        inside = sorted(path.glob("*.npz"))
        if not inside:
            raise OutputError(f"{path}: this folder holds no .npz of an explanation")
        found += inside
    return list(dict.fromkeys(found))


def _count(explanations: Sequence[Explanation]) -> str:
    n = len(explanations)
    return f"{n} explanation{'' if n == 1 else 's'}"
