"""Options that several commands share; their values are kept in the context of click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])

_KEY = "onnxplain.kept"


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Keep the value of an option if it was given."""
    if value is not None:
        ctx.meta.setdefault(_KEY, {})[param.name] = value


def make_kept_option(*names: str, **settings: Any) -> Callable[[F], F]:
    """Make an option whose value is kept in the context instead of given to the command."""
    return click.option(*names, expose_value=False, callback=_keep, **settings)


def get_kept_options(ctx: click.Context, prefix: str) -> dict[str, Any]:
    """Return the values of the options with a prefix, by their names without the prefix."""
    kept: dict[str, Any] = ctx.meta.get(_KEY, {})
    return {name.removeprefix(prefix): kept[name] for name in kept if name.startswith(prefix)}
