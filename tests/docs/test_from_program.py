"""Pages that are made from the program hold all that the program has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import onnxplain
from onnxplain import metrics, registry
from onnxplain.cli import COMMANDS
from onnxplain.core.params import list_parameters
from onnxplain.metrics.naming import NAMED_METRICS

pytest.importorskip("sphinx", reason="needs the extra docs")
sys.path.append(str(Path(__file__).resolve().parents[2] / "docs" / "_ext"))
from api_pages import list_names, write_api
from command_pages import format_commands
from entry_pages import format_costs, format_entries, format_pictures


def test_every_public_name_has_a_page(tmp_path: Path):
    lists = write_api(tmp_path)
    public = {f"onnxplain.{name}" for name in onnxplain.__all__ if not name.startswith("__")}
    public |= {f"onnxplain.metrics.{name}" for name in metrics.__all__}
    assert {name.full for name in list_names()} == public
    assert {path.stem for path in tmp_path.iterdir()} == public
    assert all(f"api/{name}.rst" in lists for name in public)


def test_every_command_and_option_is_there():
    text = format_commands()
    for name in COMMANDS:
        assert f"## onnxplain {name}" in text
    for flag in ("--keep-heatmaps", "--figure-style", "--inpainter-preset", "--allow-random"):
        assert f"```{{option}} {flag}" in text


def test_every_method_fill_and_metric_is_there_with_its_parameters():
    text = format_entries()
    entries = {**registry.get_methods(), **registry.get_fills(), **NAMED_METRICS}
    for name, cls in entries.items():
        assert f"### {name}\n" in text
        for parameter in list_parameters(cls):
            assert f"| `{parameter.name}` |" in text
    assert "| `fill` | `fill` | what stands in for removed pixels; folded-blur if not given" in text


def test_the_table_of_costs_has_every_method_in_the_order_of_the_alphabet():
    rows = format_costs().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == sorted(registry.get_methods())
    assert "Liu, Witter, Korn" in next(row for row in rows if "`banzhaf`" in row)


def test_pictures_are_of_methods_that_exist():
    pictures = format_pictures()
    assert pictures.count('class="tile"') > 20
    assert 'alt="rise: mean probability of the class' in pictures
