"""Help in sections."""

from __future__ import annotations

import click
from click.testing import CliRunner

from onnxplain.cli.sections import SECTIONS, SectionedCommand
from tests.cli.conftest import Run


def test_explain_lists_options_by_topic(run: Run):
    shown = run("explain", "--help").stdout
    places = [shown.index(f"\n{title}:\n") for title in ("Options", *SECTIONS.values())]
    assert places == sorted(places)
    assert places[2] < shown.index("--n-masks") < places[3] < shown.index("--fill-sigma")


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
