"""The command of a record asks the question of the record."""

from __future__ import annotations

import shlex

import pytest

from onnxplain import registry
from onnxplain.core.flow import NO_FILL
from onnxplain.core.params import build, get_values
from onnxplain.report.commands import format_command, format_entry


def read_back(text: str, classes):
    entry = registry.parse_entry(text)
    return build(classes[entry.name], entry.parameters)


@pytest.mark.parametrize("name", registry.METHODS)
def test_parameters_of_every_method_are_read_back(name: str):
    method = registry.METHODS[name]()
    assert (
        read_back(format_entry(name, get_values(method), type(method)), registry.METHODS) == method
    )
    assert read_back(format_entry(name, get_values(method), None), registry.METHODS) == method


def test_values_of_every_kind_are_read_back():
    fill = registry.FILLS["colour"](rgb=(1.0, 0.0, 0.5))
    text = format_entry("colour", {"rgb": [1.0, 0.0, 0.5]}, type(fill))  # lists, as in a file
    assert read_back(text, registry.FILLS) == fill
    method = registry.METHODS["mp2"](grid=14, gain="difference", chance=0.25)
    text = format_entry("mp2", get_values(method), type(method))
    assert text == "mp2:grid=14,gain=difference,chance=0.25"
    assert read_back(text, registry.METHODS) == method


def test_command_is_quoted_and_leaves_out_what_is_implied():
    record = {
        "image": "my photos/a'b.jpg",
        "method": "rise",
        "parameters": {"n_masks": 1000, "grid": 7, "p_keep": 0.5},
        "fill": "blur",
        "fill_parameters": {"sigma": 5.0},
        "target": 3,
        "seed": 7,
        "provenance": {"classifier": {"model": "net.onnx"}},
    }
    words = shlex.split(format_command(record))
    assert words == [
        *("onnxplain", "explain", "my photos/a'b.jpg", "--model", "net.onnx"),
        *("--method", "rise:n_masks=1000", "--fill", "blur:sigma=5.0"),
        *("--target", "3", "--seed", "7"),
    ]
    in_zoo = {"provenance": {"classifier": {"model": "efficientnet-lite0.onnx"}}}
    assert "--model efficientnet-lite0 " in format_command({**record, **in_zoo})
    for method, fill in (("grad-cam", NO_FILL), ("rise-g", "inpaint")):
        command = format_command({**record, "method": method, "parameters": {}, "fill": fill})
        assert "--fill" not in command
