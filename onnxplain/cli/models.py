"""The options that say which model, where it runs and how it is fed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from onnxplain.cli.kept import given, keep
from onnxplain.core.data import Fit, Interpolation
from onnxplain.core.spec import ChannelOrder, Head, Layout
from onnxplain.image import MAX_PIXELS

F = TypeVar("F", bound=Callable[..., object])

PREFIX = "model_"  # names of options share one space

# The shell completes it; whoever reads the file tells what is wrong with it.
FILE = click.Path(readable=False)


def numbers(text: str) -> tuple[float, ...]:
    """One number, or several parted by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a number, nor numbers parted by commas"
        ) from None


def sides(text: str) -> tuple[int, int]:
    """Pixels: one number, or rows x columns."""
    try:
        rows, columns = (text if "x" in text else f"{text}x{text}").split("x")
        return int(rows), int(columns)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a size; write 224, or rows x columns: 240x320"
        ) from None


max_pixels_option = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger images.",
)


def model_options(command: F) -> F:
    """Add the options of `onnxplain.load`, but for the model itself."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def model_flags(ctx: click.Context) -> dict[str, Any]:
    """What the command line says of device, batch size and model."""
    return given(ctx, PREFIX)


def check_spares(model: Path, output: Path) -> None:
    """Refuse to write over the model that a command reads.

    Raises
    ------
    ValueError
        If both are one file, under whatever names.
    """
    if output.exists() and output.samefile(model):
        raise ValueError(f"{output}: is the model itself; give another name for what is written")


def _option(field: str, *flags: str, **settings: Any) -> Callable[[F], F]:
    """An option that sets one argument of `onnxplain.load`."""
    return click.option(f"{PREFIX}{field}", *flags, expose_value=False, callback=keep, **settings)


def _choice(alias: Any) -> click.Choice[str]:
    return click.Choice(get_args(alias))


_OPTIONS = (
    _option(
        "device",
        "--device",
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:N or tensorrt.  [default: auto]",
    ),
    _option(
        "batch_size",
        "--batch-size",
        type=int,
        metavar="N",
        help="Images a call.  [default: measured once]",
    ),
    _option(
        "preprocessing",
        "--preprocessing",
        metavar="PRESET",
        help="How the model's framework normalises: torchvision, timm, keras-tf, keras-caffe, "
        "keras-torch, lite, unit or bytes.",
    ),
    _option("layout", "--layout", type=_choice(Layout), help="Order of the input's axes."),
    _option(
        "colour", "--colour", "--color", type=_choice(ChannelOrder), help="Order of the channels."
    ),
    _option(
        "range",
        "--range",
        type=numbers,
        metavar="LOW,HIGH",
        help="What black and white become, as 0,255.",
    ),
    _option(
        "mean",
        "--mean",
        type=numbers,
        metavar="M[,M,M]",
        help="Subtracted after that; one number, or one a channel.",
    ),
    _option(
        "std",
        "--std",
        type=numbers,
        metavar="S[,S,S]",
        help="Divided by after that; one number, or one a channel.",
    ),
    _option(
        "size",
        "--size",
        type=sides,
        metavar="N[xN]",
        help="Input size in pixels: 224, or 240x320, rows first.",
    ),
    _option("fit", "--fit", type=_choice(Fit), help="How a photo comes to the input's shape."),
    _option(
        "crop",
        "--crop",
        type=float,
        metavar="SHARE",
        help="With --fit crop, the part of the side that is kept.",
    ),
    _option(
        "interpolation",
        "--interpolation",
        type=_choice(Interpolation),
        help="How pixels are resampled.",
    ),
    _option("head", "--head", type=_choice(Head), help="What the scores are."),
    _option("input", "--input-name", metavar="NAME", help="The graph's image input."),
    _option("output", "--output-name", metavar="NAME", help="The graph's score output."),
    _option(
        "labels",
        "--labels",
        "--classes",
        type=FILE,
        metavar="FILE",
        help="Class names, one a line or as JSON.",
    ),
)
