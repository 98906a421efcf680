"""Options that many commands share: their values are no arguments of a command, but kept aside."""

from __future__ import annotations

from typing import Any

import click

_KEY = "onnxplain.kept"


def keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Keep the value of an option that was given: the callback of one that is not exposed."""
    if value is not None:
        ctx.meta.setdefault(_KEY, {})[param.name] = value


def given(ctx: click.Context, prefix: str) -> dict[str, Any]:
    """What was given to the options of one prefix, by what their names are without it."""
    kept: dict[str, Any] = ctx.meta.get(_KEY, {})
    return {name.removeprefix(prefix): kept[name] for name in kept if name.startswith(prefix)}
