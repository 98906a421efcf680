"""How much is logged: ``-v`` and ``-q``, in front of a command or after it."""

from __future__ import annotations

import logging
from functools import partial

import click

VERBOSE_HELP = "Log progress to stderr; twice for all details."
QUIET_HELP = "Print results and errors only."


def set_level(verbose: int, *, quiet: bool) -> None:
    """Log warnings, or more if it is asked for, or errors only."""
    level = (
        logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    )
    logging.getLogger().setLevel(level)
    # Building a model for the first time takes long enough to say so.
    logging.getLogger("onnxplain.zoo").setLevel(level if quiet else min(level, logging.INFO))


def restore_levels_after(ctx: click.Context) -> None:
    """Give the loggers back their levels when a command ends: the process may not be ours."""
    loggers = [logging.getLogger(name) for name in (None, "onnxplain.zoo")]
    for logger in loggers:
        ctx.call_on_close(partial(logger.setLevel, logger.level))


def add_log_options(command: click.Command) -> None:
    """Add ``-v`` and ``-q`` to a command and to those below it, unless they are there."""
    if isinstance(command, click.Group):
        for child in command.commands.values():
            add_log_options(child)
        return
    flags = {flag for param in command.params for flag in param.opts}
    for option in _make_options():
        if not flags.intersection(option.opts):
            command.params.append(option)


def _make_options() -> tuple[click.Option, click.Option]:
    verbose = click.Option(
        ["-v", "--verbose"],
        count=True,
        default=None,
        expose_value=False,
        callback=_set_if_given,
        help=VERBOSE_HELP,
    )
    quiet = click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        default=None,
        expose_value=False,
        callback=_set_if_given,
        help=QUIET_HELP,
    )
    return verbose, quiet


def _set_if_given(ctx: click.Context, param: click.Parameter, value: int | bool | None) -> None:
    if value:
        set_level(0 if param.name == "quiet" else int(value), quiet=param.name == "quiet")
