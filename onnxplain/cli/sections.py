"""Help in sections, by topic, for commands with many options."""

from __future__ import annotations

from typing import final

import click

SECTIONS = {
    "model_": "Model",
    "method_": "Parameters of methods",
    "fill_": "Parameters of fills",
    "figure_": "Figures",
    "inpainter_": "Description of the inpainter",
}


@final
class SectionedCommand(click.Command):
    """A command whose help lists options with a common prefix under their own heading."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options section by section; arguments are only in the usage line."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and not isinstance(param, click.Argument):
                sections.setdefault(_find_section(param), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _find_section(param: click.Parameter) -> str:
    titles = (title for prefix, title in SECTIONS.items() if str(param.name).startswith(prefix))
    return next(titles, "Options")
