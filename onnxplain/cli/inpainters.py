"""The options that describe an inpainter, out of what `InpainterSpec` declares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from onnxplain.cli.kept import given, keep
from onnxplain.cli.models import numbers, sides
from onnxplain.core.params import Hyperparameter
from onnxplain.describe.inpainter.inpainter_spec import INPAINTER_PARAMETERS
from onnxplain.describe.inpainter.presets import INPAINTER_PRESETS

F = TypeVar("F", bound=Callable[..., object])

PREFIX = "inpainter_"  # names of options share one space


def inpainter_options(command: F) -> F:
    """Add an option for every field of an inpainter's description, and for its preset."""
    for one in reversed(INPAINTER_PARAMETERS.values()):
        command = _option(one)(command)
    return click.option(
        f"{PREFIX}preset",
        "--inpainter-preset",
        type=click.Choice(list(INPAINTER_PRESETS)),
        expose_value=False,
        callback=keep,
        help="The convention of a published inpainter; the options below win over it.",
    )(command)


def inpainter_flags(ctx: click.Context) -> dict[str, Any]:
    """What the command line says of the inpainter."""
    return given(ctx, PREFIX)


def _option(one: Hyperparameter) -> Callable[[F], F]:
    flag = f"--inpainter-{one.name.replace('_', '-')}"
    kind: Any = one.type
    metavar = None
    if one.choices:
        kind = click.Choice(one.choices)
    elif one.name == "size":
        kind, metavar = sides, "N[xN]"
    elif one.length is not None:
        kind, metavar = numbers, ",".join("N" * one.length)
    return click.option(
        f"{PREFIX}{one.name}",
        f"{flag}/--no-{flag[2:]}" if one.type is bool else flag,
        type=None if one.type is bool else kind,
        default=None,
        expose_value=False,
        callback=keep,
        metavar=metavar,
        help=f"{one.param.help[0].upper()}{one.param.help[1:]}.",
    )
