"""The options that describe the model and say where it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from onnxplain.cli.kept import get_kept_options, make_kept_option
from onnxplain.cli.parameters import make_name_completer
from onnxplain.cli.paths import FILE
from onnxplain.core.data import Fit, Interpolation
from onnxplain.core.spec import ChannelOrder, Head, Layout
from onnxplain.describe.normalisation import NORMALISATION_PRESETS
from onnxplain.image import MAX_PIXELS
from onnxplain.runtime.device import Where

F = TypeVar("F", bound=Callable[..., object])

PREFIX = "model_"  # keeps these names apart from those of other options


def parse_numbers(text: str) -> tuple[float, ...]:
    """Parse one number, or several separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a number nor numbers separated by commas"
        ) from None


def parse_size(text: str) -> int | tuple[int, int]:
    """Parse a size in pixels: one number, or rows x columns."""
    try:
        rows, x, columns = text.partition("x")
        return (int(rows), int(columns)) if x else int(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a size; write 224, or rows x columns: 240x320"
        ) from None


def parse_crop(text: str) -> float | tuple[int, int]:
    """Parse a size in pixels, or a share."""
    try:
        return float(text) if "." in text else parse_size(text)
    except (ValueError, click.BadParameter):
        raise click.BadParameter(
            f"{text!r} is neither a size, such as 224 or 240x320, nor a share, such as 0.875"
        ) from None


max_pixels_option = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger images.",
)

white_option = click.option(
    "--white",
    type=click.IntRange(min=1),
    metavar="VALUE",
    help="The value of white in images of more than 8 bits, such as 4095 for 12 bits in a file of "
    "16.  [default: as the file's format says]",
)


def add_model_options(command: F) -> F:
    """Add the options of `onnxplain.load`, except for the model itself."""
    command = add_description_options(command)
    for option in reversed(_RUN_OPTIONS):
        command = option(command)
    return command


def add_description_options(command: F) -> F:
    """Add the options that describe a model, without those that say where it runs."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def get_model_flags(ctx: click.Context) -> dict[str, Any]:
    """Return the model options that were given, with device and batch size."""
    return get_kept_options(ctx, PREFIX)


def check_output_is_not_model(model: Path, output: Path) -> None:
    """Check that a command does not overwrite the model that it reads.

    Raises
    ------
    ValueError
        If both are the same file, even under different names.
    """
    if output.exists() and output.samefile(model):
        raise ValueError(f"{output}: is the model itself; give another name for the output")


def _make_option(field: str, *flags: str, **settings: Any) -> Callable[[F], F]:
    """Make an option that sets one argument of `onnxplain.load`."""
    return make_kept_option(f"{PREFIX}{field}", *flags, **settings)


def _list_choices(alias: Any) -> click.Choice[str]:
    return click.Choice(get_args(alias))


_RUN_OPTIONS = (
    _make_option(
        "device",
        "--device",
        metavar="DEVICE",
        shell_complete=make_name_completer(get_args(Where)),
        help="auto, cpu, cuda or cuda:N.  [default: auto]",
    ),
    _make_option(
        "batch_size",
        "--batch-size",
        type=int,
        metavar="N",
        help="Images per call.  [default: measured once]",
    ),
    _make_option(
        "tf32",
        "--tf32",
        is_flag=True,
        default=None,
        help="Let a GPU multiply with 10 bits of mantissa: faster, and differences of scores below "
        "0.001 are of no account. Gradients never do.",
    ),
)
_OPTIONS = (
    _make_option(
        "preprocessing",
        "--preprocessing",
        metavar="PRESET",
        shell_complete=make_name_completer(NORMALISATION_PRESETS),
        help="How the model's framework normalises: torchvision, timm, keras-tf, keras-caffe, "
        "keras-torch, lite, unit (0 to 1) or bytes (0 to 255, for graphs that normalise).",
    ),
    _make_option(
        "layout", "--layout", type=_list_choices(Layout), help="Order of the input's axes."
    ),
    _make_option(
        "colour",
        "--colour",
        "--color",
        type=_list_choices(ChannelOrder),
        help="Order of the channels.",
    ),
    _make_option(
        "range",
        "--range",
        type=parse_numbers,
        metavar="LOW,HIGH",
        help="The values of black and white, for example 0,255.",
    ),
    _make_option(
        "mean",
        "--mean",
        type=parse_numbers,
        metavar="M[,M,M]",
        help="Subtracted after --range; one number, or one per channel.",
    ),
    _make_option(
        "std",
        "--std",
        type=parse_numbers,
        metavar="S[,S,S]",
        help="Divisor, applied after --mean; one number, or one per channel.",
    ),
    _make_option(
        "size",
        "--size",
        type=parse_size,
        metavar="N[xN]",
        help="Input size in pixels: 224, or 240x320, rows first.",
    ),
    _make_option(
        "fit",
        "--fit",
        type=_list_choices(Fit),
        help="How a photo is resized: to cover --resize, to exactly that size, to fit into it, or "
        "not at all.",
    ),
    _make_option(
        "resize",
        "--resize",
        type=parse_size,
        metavar="N[xN]",
        help="Resize a photo's shortest side, or rows x columns, before its centre is cut out.",
    ),
    _make_option(
        "crop",
        "--crop",
        type=parse_crop,
        metavar="N[xN]|SHARE",
        help="Size of that centre, which is the input's; or its share of the resized photo.",
    ),
    _make_option(
        "interpolation",
        "--interpolation",
        type=_list_choices(Interpolation),
        help="How pixels are resampled, as in Pillow.",
    ),
    _make_option(
        "border",
        "--border",
        type=parse_numbers,
        metavar="N[,N,N]",
        help="Colour of borders from 0 to 255: grey, or red, green and blue.  [default: 0]",
    ),
    _make_option(
        "head",
        "--head",
        type=_list_choices(Head),
        help="What the scores are: logits or probabilities of classes that exclude each other "
        "(softmax: whichever of the two the graph or the scores show); multilabel-logits or "
        "multilabel-probabilities of independent labels (sigmoid: whichever of the two); or one "
        "number, the logit or probability of the second of two classes.",
    ),
    _make_option("input", "--input-name", metavar="NAME", help="The graph's image input."),
    _make_option("output", "--output-name", metavar="NAME", help="The graph's score output."),
    _make_option(
        "labels",
        "--labels",
        "--classes",
        type=FILE,
        metavar="FILE",
        help="Class names, one per line or as JSON.",
    ),
    _make_option(
        "allow_random",
        "--allow-random",
        is_flag=True,
        default=None,
        help="Take a model that answers the same image differently each time, as with an active "
        "Dropout.",
    ),
)
