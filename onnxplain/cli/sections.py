"""Help in sections, by topic, for commands with many options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, final

import click

# What the names of options begin with, the topic of `onnxplain help` that lists them, the title
# of their section, and what they do.
TOPICS = {
    "model_": ("model", "Model", "How the model is fed and run: layout, range, size, head, ..."),
    "method_": ("METHOD", "Parameters of methods", "A method: paper, cost and parameters."),
    "fill_": ("FILL", "Parameters of fills", "A fill and its parameters."),
    "figure_": ("figure", "Figures", "How pictures look."),
    "ray_": ("ray", "Several processes and machines", "Work on several processes and machines."),
    "inpainter_": ("inpainter", "Description of the inpainter", "How an inpainter is fed."),
}
SECTIONS = {prefix: title for prefix, (_, title, _) in TOPICS.items()}

# Options of which `onnxplain evaluate` takes several, and other commands one.
NAMING = ("model", "method", "fill")

_GIVEN = "onnxplain.given"


@final
class SectionedCommand(click.Command):
    """A command whose help lists options with a common prefix under their own heading.

    Parameters
    ----------
    folded : collection of str
        Prefixes of the options that `onnxplain help` lists instead, each by its topic.
    common : collection of str
        Names of options with a folded prefix that are listed all the same.
    write_named : callable, optional
        Gets the context, the formatter and the options that were given beside ``--help``; writes
        the help of the method or fill that they name, and returns whether there was one.
    write_lists : callable, optional
        Writes lists into the formatter, after the options.
    """

    def __init__(
        self,
        *args: Any,
        folded: Collection[str] = (),
        common: Collection[str] = (),
        write_named: Callable[[click.HelpFormatter, dict[str, Any]], bool] | None = None,
        write_lists: Callable[[click.HelpFormatter], None] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self._folded = tuple(folded)
        self._common = tuple(common)
        self._write_named = write_named
        self._write_lists = write_lists

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; `--help` may stand before the options that it is about."""
        if not ctx.resilient_parsing:
            given, _, order = self.make_parser(ctx).parse_args(list(args))
            if self._write_named and any(word in ctx.help_option_names for word in args):
                ctx.meta[_GIVEN] = given
            _refuse_repeated(ctx, order)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help of what the other options name, or else of the command."""
        if not (self._write_named and self._write_named(formatter, ctx.meta.get(_GIVEN, {}))):
            super().format_help(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options section by section; arguments are only in the usage line."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            if not str(param.name).startswith(self._folded) or param.name in self._common:
                sections.setdefault(_find_section(param), []).extend(list_records(ctx, [param]))
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
        if self._write_lists:
            self._write_lists(formatter)
        if self._folded:
            with formatter.section("More options"):
                formatter.write_dl(
                    [
                        (f"onnxplain help {topic}", meaning)
                        for prefix, (topic, _, meaning) in TOPICS.items()
                        if prefix in self._folded
                    ]
                )


def _refuse_repeated(ctx: click.Context, order: Sequence[click.Parameter]) -> None:
    """Refuse a second method where there is place for one, which click would take alone."""
    for param, n in Counter(order).items():
        if n > 1 and param.name in NAMING and not param.multiple:
            flag = param.opts[-1]
            ctx.fail(f"{ctx.info_name} takes one {flag}, got {n}; run it once for each")


def list_records(ctx: click.Context, params: Collection[click.Parameter]) -> list[tuple[str, str]]:
    """Return flags and help of options; arguments have none."""
    options = (param for param in params if isinstance(param, click.Option))
    return [record for option in options if (record := option.get_help_record(ctx))]


def _find_section(param: click.Parameter) -> str:
    titles = (title for prefix, title in SECTIONS.items() if str(param.name).startswith(prefix))
    return next(titles, "Options")
