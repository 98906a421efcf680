"""Help in sections."""

from __future__ import annotations

import re

import click
from click.testing import CliRunner

from onnxplain.cli.explain import command as explain
from onnxplain.cli.sections import SECTIONS, SectionedCommand
from onnxplain.registry import get_fills, get_methods
from tests.cli.conftest import Run


def test_explain_fits_two_screens_and_leaves_the_rest_to_topics(run: Run):
    shown = run("explain", "--help").stdout
    lines = shown.splitlines()
    assert len(lines) - len(get_methods()) < 75  # a line per method, also of those to come
    assert max(map(len, lines)) <= 80
    places = [shown.index(f"\n{title}:\n") for title in ("Options", "Model", "Methods", "Fills")]
    assert places == sorted(places)
    assert "--preprocessing" in shown
    assert not any(flag in shown for flag in ("--n-masks", "--fill-sigma", "--inpainter-", "--std"))
    assert all(f"\n  {name} " in shown for name in get_methods())
    assert all(re.search(rf"\b{name}\b", shown) for name in get_fills())


def test_every_option_of_explain_is_in_the_help_or_in_a_topic(run: Run):
    names = ("explain", "model", "figure", "ray", "inpainter", *get_methods(), *get_fills())
    shown = "".join(run("help", name).stdout for name in names)
    options = [param for param in explain.params if isinstance(param, click.Option)]
    flags = {flag for option in options for flag in (*option.opts, *option.secondary_opts)}
    assert not [flag for flag in flags if not re.search(rf"{flag}(?![\w-])", shown)]


def test_options_with_a_common_prefix_stand_under_its_title():
    @click.command(cls=SectionedCommand)
    @click.argument("photo", metavar="PHOTO")
    @click.option("model_size", "--size", help="of the model")
    @click.option("plain", "--plain", help="without a prefix")
    @click.option("fill_sigma", "--sigma", help="of the fill")
    def command() -> None:
        """Do nothing."""

    shown = CliRunner().invoke(command, ["--help"]).output
    places = [
        shown.index(text)
        for text in (
            *("\nOptions:", "--plain", "--help"),
            *(f"\n{SECTIONS['model_']}:", "--size", f"\n{SECTIONS['fill_']}:", "--sigma"),
        )
    ]
    sections = [places[:3], places[3:5], places[5:]]
    assert all(section == sorted(section) for section in sections)
    assert SECTIONS["method_"] not in shown
    assert shown.count("PHOTO") == 1  # in the usage line; it has no help of its own
