"""The command ``onnxplain``; each subcommand is a module that is imported when it is called.

Results go to stdout, progress and logs to stderr. Exit codes: 0, everything is done;
1, something failed; 2, the command line asks for something that does not exist; 70, a bug of
onnxplain; 130, interrupted.

For shell completion, put ``eval "$(_ONNXPLAIN_COMPLETE=bash_source onnxplain)"`` into the
start-up file of Bash; for zsh and fish use ``zsh_source`` and ``fish_source``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import click

from onnxplain.cli.reporting import guard, report_errors, stop_quietly
from onnxplain.cli.terminal import TerminalFormatter, show
from onnxplain.version import __version__

DEBUG = "--debug"
COMMANDS = (
    *("explain", "evaluate", "compare", "merge"),
    *("inspect", "layers", "export-gradient", "zoo"),
)


class _Commands(click.Group):
    """Finds each command in the module of its name, so that unused commands are not imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with report_errors():  # imports are slow, so the user may interrupt them
            module = importlib.import_module(f"onnxplain.cli.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; this prints help and version, for which there may be no room."""
        with guard(debug=DEBUG in args), report_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; there may be no room for what it prints, either."""
        with guard(debug=ctx.params["debug"]), report_errors():
            return super().invoke(ctx)

    def main(self, args: Sequence[str] | None = None, *others: Any, **extra: Any) -> Any:
        """Run the words of the command line, or those of a caller."""
        with stop_quietly() if args is None else nullcontext():  # else the process is not ours
            return super().main(args, *others, **extra)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, asked: _print_version(ctx) if asked else None,
    help="Show the versions of onnxplain and ONNX Runtime and exit.",
)
@click.option("-v", "--verbose", count=True, help="Log progress to stderr; twice for all details.")
@click.option(DEBUG, is_flag=True, help="Show where in the program errors arise (tracebacks).")
def main(verbose: int, debug: bool) -> None:
    """Explain exported image classifiers by removing parts of the image."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler()
    handler.setFormatter(TerminalFormatter(debug=debug))
    logging.basicConfig(level=level, handlers=[handler])
    # Building a model for the first time takes long enough to say so.
    logging.getLogger("onnxplain.zoo").setLevel(min(level, logging.INFO))


def _print_version(ctx: click.Context) -> None:
    """Print versions from the metadata of installed packages: nothing heavy is imported."""
    show(f"onnxplain {__version__}")
    for wheel in ("onnxruntime", "onnxruntime-gpu"):
        try:
            show(f"{wheel} {importlib.metadata.version(wheel)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    ctx.exit()
