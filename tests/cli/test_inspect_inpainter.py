"""``onnxplain inspect`` on an inpainter."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec
from tests.cli.conftest import Run
from tests.helpers import painters

PAINTER_KEYS = [
    "inpainter",
    "sha256",
    "spec",
    "checks",
    "device",
    "providers",
    "placement",
    "batch_size",
]


def test_inpainter_is_recognised_by_its_ports_and_shown_with_sources_and_checks(
    run: Run, folder: Path, own_cache: None
):
    onnx.save(painters.plain(multiple=8), "painter.onnx")
    inspected = json.loads(run("inspect", "painter.onnx", "--json").stdout)
    assert list(inspected) == PAINTER_KEYS
    assert set(inspected["spec"]) == set(InpainterSpec.__dataclass_fields__) - {"sources"}
    assert inspected["spec"]["multiple"] == {"value": 8, "source": "behaviour"}
    assert inspected["spec"]["layout"] == {"value": "nchw", "source": "graph"}
    assert {check["name"]: check["passed"] for check in inspected["checks"]} == {
        "size": True,
        "determinism": True,
        "polarity": True,
        "painted pixels": True,
        "range and colour": True,
        "known pixels": True,
        "batch": True,
        "mask a sample": True,
        "whole image a hole": True,
    }
    shown = run("inspect", "painter.onnx").stdout
    assert shown.startswith("painter.onnx, an inpainter  sha256 ")
    assert "polarity            yes  what is in the hole shows by" in shown


def test_options_describe_an_inpainter_and_the_written_spec_does_from_then_on(
    run: Run, folder: Path, own_cache: None
):
    onnx.save(painters.migan_generator(), "painter.onnx")
    result = run("inspect", "painter.onnx")
    assert result.exit_code == 1
    assert "write pack = 'channels'" in result.stderr
    words = ("--inpainter-preset", "migan-generator", "--inpainter-multiple", 4)
    assert run("inspect", "painter.onnx", *words, "--write-spec", "painter.toml").exit_code == 0
    spec = json.loads(run("inspect", "painter.onnx", "--json").stdout)["spec"]
    assert spec["hole"] == {"value": -0.5, "source": "painter.toml"}
    assert spec["range"] == {"value": [-1, 1], "source": "painter.toml"}
    assert spec["multiple"]["value"] == 4


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("--inpainter-output-range", "0,255"), 1, "write output_range = [0, 1]"),
        (("--inpainter-hole", 0), 1, "write hole = 1.0 and known = 0.0"),
        (("--inpainter-range", "1,0"), 2, "range needs a low and a higher number"),
        (("--inpainter-multiple", 0), 2, "multiple must be >= 1"),
        (("--inpainter-mean", "0,1"), 2, "mean takes a tuple of 3 values"),
        (("--inpainter-preset", "lamma"), 2, "'lamma' is not one of 'plain'"),
        (("--image", "photo.png"), 2, "those that begin with --inpainter-"),
        (("--layout", "nhwc"), 2, "painter.onnx is an inpainter"),
    ],
)
def test_wrong_description_of_an_inpainter_is_an_error(
    run: Run, folder: Path, own_cache: None, words: tuple[object, ...], code: int, problem: str
):
    onnx.save(painters.plain(), "painter.onnx")
    result = run("inspect", "painter.onnx", *words)
    assert result.exit_code == code
    assert problem in " ".join(result.stderr.split())


def test_classifier_described_as_inpainter_is_an_error(run: Run, model: Path):
    result = run("inspect", model, "--inpainter-preset", "lama")
    assert result.exit_code == 1
    assert "tiny.toml: describes no inpainter" in result.stderr
    Path("tiny.toml").unlink()
    result = run("inspect", model, "--inpainter-preset", "lama")
    assert "no inpainter: its output would be an image of 3 channels" in result.stderr
