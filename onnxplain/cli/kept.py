"""Options that several commands share; their values are kept in the context of click."""

from __future__ import annotations

from typing import Any

import click

_KEY = "onnxplain.kept"


def keep_option(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Keep the value of an option if it was given; a callback for options that are not exposed."""
    if value is not None:
        ctx.meta.setdefault(_KEY, {})[param.name] = value


def get_kept_options(ctx: click.Context, prefix: str) -> dict[str, Any]:
    """Return the values of the options with a prefix, by their names without the prefix."""
    kept: dict[str, Any] = ctx.meta.get(_KEY, {})
    return {name.removeprefix(prefix): kept[name] for name in kept if name.startswith(prefix)}
