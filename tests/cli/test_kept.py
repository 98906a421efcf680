"""Options whose values are kept in the context."""

from __future__ import annotations

import click
from click.testing import CliRunner

from onnxplain.cli.kept import get_kept_options, make_kept_option


def test_given_values_are_found_by_prefix_and_others_are_absent():
    @click.command()
    @make_kept_option("model_size", "--size", type=int)
    @make_kept_option("model_mean", "--mean")
    @make_kept_option("fill_sigma", "--sigma")
    @click.pass_context
    def command(ctx: click.Context) -> None:
        click.echo([get_kept_options(ctx, prefix) for prefix in ("model_", "fill_", "method_")])

    shown = CliRunner().invoke(command, ["--size", "0", "--sigma", "2"])
    assert shown.output == "[{'size': 0}, {'sigma': '2'}, {}]\n"
