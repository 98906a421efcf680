"""Options from the parameters that methods and fills declare."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

import click
import pytest
from click.testing import CliRunner

from onnxplain.cli.parameters import ParameterOptions, make_name_completer
from onnxplain.core.params import Param, Parametrised


@dataclasses.dataclass(frozen=True)
class Grid(Parametrised):
    name: ClassVar[str] = "grid"
    cells: Annotated[int, Param("cells per side", ge=1)] = 7
    smooth: Annotated[bool, Param("whether to blur")] = True


@dataclasses.dataclass(frozen=True)
class Patch(Parametrised):
    name: ClassVar[str] = "patch"
    cells: Annotated[int, Param("cells per side", ge=1)] = 7
    align: Annotated[Literal["left", "right"], Param("where patches start")] = "left"
    rgb: Annotated[tuple[float, float, float], Param("colour")] = (0.0, 0.5, 1.0)


OPTIONS = ParameterOptions("method", "", {"grid": Grid, "patch": Patch})


def run_command(options: ParameterOptions, name: str, *words: str) -> tuple[str, dict[str, Any]]:
    """Run a command with these options; return its output and the parameters it got."""
    got: dict[str, Any] = {}

    @click.command()
    @options.add_options
    @click.pass_context
    def command(ctx: click.Context) -> None:
        """Do nothing."""
        got.update(options.get_parameters(ctx, name))

    return CliRunner().invoke(command, words).output, got


def test_given_options_become_parameters_of_their_types():
    words = ("--cells", "3", "--rgb", "1", "0", "0.5", "--align", "right")
    assert run_command(OPTIONS, "patch", *words)[1] == {
        "cells": 3,
        "rgb": (1.0, 0.0, 0.5),
        "align": "right",
    }
    assert run_command(OPTIONS, "grid", "--no-smooth")[1] == {"smooth": False}
    assert run_command(OPTIONS, "grid")[1] == {}


def test_option_of_another_owner_is_an_error_that_names_it():
    output, parameters = run_command(OPTIONS, "grid", "--align", "left")
    assert parameters == {}
    assert "method grid takes no --align, which belongs to patch" in output
    assert "the options of grid: --cells, --smooth" in output


def test_prefix_stands_before_the_parameter():
    fills = ParameterOptions("fill", "fill-", {"grid": Grid})
    assert run_command(fills, "grid", "--fill-cells", "4", "--no-fill-smooth")[1] == {
        "cells": 4,
        "smooth": False,
    }


def test_help_joins_the_takers_of_a_parameter_with_the_same_meaning():
    shown = " ".join(run_command(OPTIONS, "grid", "--help")[0].split())
    assert "grid, patch: cells per side. [default: 7; >= 1]" in shown
    assert "patch: colour. [default: 0.0 0.5 1.0]" in shown
    assert "--align left|right" in shown


def test_help_lists_the_choices_of_every_taker():
    @dataclasses.dataclass(frozen=True)
    class Other(Parametrised):
        align: Annotated[Literal["left", "centre"], Param("where the mask lies")] = "left"

    options = ParameterOptions("method", "", {"patch": Patch, "other": Other})
    shown = " ".join(run_command(options, "patch", "--help")[0].split())
    assert "--align left|right|centre" in shown
    assert "patch: where patches start. [left|right; default: left]" in shown
    assert "other: where the mask lies. [left|centre; default: left]" in shown


def test_names_are_completed_by_their_beginning():
    @click.command()
    @click.option("--name")
    def command(name: str) -> None:
        """Do nothing."""

    context = click.Context(command)
    complete = make_name_completer(["rise", "random", "sp"])
    assert complete(context, command.params[0], "r") == ["rise", "random"]
    with pytest.raises(click.UsageError):
        command.make_context("command", ["--nome", "x"])
