"""The command ``onnxplain``; each subcommand is a module that is imported when it is called.

Results go to stdout, progress and logs to stderr. Exit codes: 0, everything is done;
1, something failed; 2, the command line is wrong.

For shell completion, put ``eval "$(_ONNXPLAIN_COMPLETE=bash_source onnxplain)"`` into the
start-up file of Bash; for zsh and fish use ``zsh_source`` and ``fish_source``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging

import click

from onnxplain.cli.reporting import report_errors
from onnxplain.version import __version__

COMMANDS = ("explain", "evaluate", "compare", "merge", "inspect", "export-gradient", "zoo")


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
        """Read the command line; printing help or the version may fail on a full disk."""
        with report_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; printing its results may fail on a full disk."""
        with report_errors():
            return super().invoke(ctx)


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
def main(verbose: int) -> None:
    """Explain exported image classifiers by removing parts of the image."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    # Building a model takes long, so it is always logged.
    logging.getLogger("onnxplain.zoo").setLevel(min(level, logging.INFO))


def _print_version(ctx: click.Context) -> None:
    """Print versions from the metadata of installed packages, without slow imports."""
    click.echo(f"onnxplain {__version__}")
    for wheel in ("onnxruntime", "onnxruntime-gpu"):
        try:
            click.echo(f"{wheel} {importlib.metadata.version(wheel)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    ctx.exit()
