"""The command ``onnxplain``; each subcommand is a module that is imported when it is called.

Results go to stdout, progress and logs to stderr. Exit codes: 0, everything is done;
1, something failed; 2, the command line asks for something that does not exist; 70, a bug of
onnxplain; 130, interrupted.

For shell completion, put ``eval "$(_ONNXPLAIN_COMPLETE=bash_source onnxplain)"`` into the
start-up file of Bash; for zsh and fish use ``zsh_source`` and ``fish_source``. Bash completes
keys, as of ``--method rise:n_masks=``, only with ``COMP_WORDBREAKS=${COMP_WORDBREAKS//[:=]}``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging

import click

from onnxplain.cli.logs import (
    QUIET_HELP,
    VERBOSE_HELP,
    add_log_options,
    restore_levels_after,
    set_level,
)
from onnxplain.cli.reporting import guard, report_errors
from onnxplain.cli.terminal import TerminalFormatter, show
from onnxplain.core.mistakes import describe_unknown
from onnxplain.version import __version__

DEBUG = "--debug"
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
COMMANDS = (
    *("explain", "draw", "evaluate", "report", "compare", "merge"),
    *("inspect", "layers", "export-gradient", "export-explainer"),
    *("patterns", "zoo", "help"),
)


class _Commands(click.Group):
    """Finds each command in the module of its name, so that unused commands are not imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with all of its first sentence, which click would cut."""
        commands = ((name, self.get_command(ctx, name)) for name in COMMANDS)
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(limit=200)) for name, one in commands if one]
            )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with report_errors():
            module = importlib.import_module(f"onnxplain.cli.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command)
        add_log_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first word; suggest one in place of a wrong one."""
        if not ctx.resilient_parsing and args[0] not in COMMANDS and args[0][:1] != "-":
            ctx.fail(f"command {describe_unknown(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; this prints help and version, for which there may be no room."""
        with guard(debug=DEBUG in args), report_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; there may be no room for what it prints, either."""
        with guard(debug=ctx.params["debug"]), report_errors():
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings=SETTINGS)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, asked: _print_version(ctx) if asked else None,
    help="Show the versions of onnxplain and ONNX Runtime and exit.",
)
@click.option("-v", "--verbose", count=True, help=VERBOSE_HELP)
@click.option("-q", "--quiet", is_flag=True, help=QUIET_HELP)
@click.option(DEBUG, is_flag=True, help="Show where in the program errors arise (tracebacks).")
@click.pass_context
def main(ctx: click.Context, verbose: int, quiet: bool, debug: bool) -> None:
    """Show which parts of a photo an image classifier based its answer on.

    onnxplain help TOPIC tells more about a command, a method, a fill or a metric; onnxplain help
    methods lists the methods, and likewise fills and metrics.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(TerminalFormatter(debug=debug))
    logging.basicConfig(handlers=[handler])
    restore_levels_after(ctx)
    set_level(verbose, quiet=quiet)
    if quiet:  # also for commands that have progress to show
        ctx.default_map = {name: {"quiet": True} for name in COMMANDS}


def _print_version(ctx: click.Context) -> None:
    """Print versions from the metadata of installed packages: nothing heavy is imported."""
    show(f"onnxplain {__version__}")
    for wheel in ("onnxruntime", "onnxruntime-gpu"):
        try:
            show(f"{wheel} {importlib.metadata.version(wheel)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    ctx.exit()
