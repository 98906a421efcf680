"""The options that describe an inpainter, made from the fields of `InpainterSpec`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from onnxplain.cli.kept import get_kept_options, make_kept_option
from onnxplain.cli.models import parse_numbers, parse_size
from onnxplain.core.params import Hyperparameter
from onnxplain.describe.inpainter.inpainter_spec import INPAINTER_PARAMETERS
from onnxplain.describe.inpainter.presets import INPAINTER_PRESETS

F = TypeVar("F", bound=Callable[..., object])

PREFIX = "inpainter_"  # keeps these names apart from those of other options


def add_inpainter_options(command: F) -> F:
    """Add an option for every field of an inpainter's description, and for its preset."""
    for declared in reversed(INPAINTER_PARAMETERS.values()):
        command = _make_option(declared)(command)
    return make_kept_option(
        f"{PREFIX}preset",
        "--inpainter-preset",
        type=click.Choice(list(INPAINTER_PRESETS)),
        help="The convention of a published inpainter; the options below override it.",
    )(command)


def get_inpainter_flags(ctx: click.Context) -> dict[str, Any]:
    """Return the inpainter options that were given."""
    return get_kept_options(ctx, PREFIX)


def _make_option(declared: Hyperparameter) -> Callable[[F], F]:
    flag = f"--inpainter-{declared.name.replace('_', '-')}"
    value_type: Any = declared.type
    metavar = None
    if declared.choices:
        value_type = click.Choice(declared.choices)
    elif declared.name == "size":
        value_type, metavar = parse_size, "N[xN]"
    elif declared.length is not None:
        value_type, metavar = parse_numbers, ",".join("N" * declared.length)
    return make_kept_option(
        f"{PREFIX}{declared.name}",
        f"{flag}/--no-{flag[2:]}" if declared.type is bool else flag,
        type=None if declared.type is bool else value_type,
        default=None,
        metavar=metavar,
        help=f"{declared.param.help[0].upper()}{declared.param.help[1:]}.",
    )
