"""``onnxplain layers`` lists what methods of layers can look at."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run, parse_lines


def test_layers_are_listed_with_shape_operator_and_names(run: Run, convnet: Path) -> None:
    lines = run("layers", convnet).stdout.splitlines()
    cells = [line.split("  ") for line in lines]
    assert [[cell.strip() for cell in row if cell.strip()] for row in cells] == [
        ["4x16x16", "Conv", "c1"],
        ["4x16x16", "Relu", "stage:1", "r1"],
        ["4x8x8", "MaxPool", "p1"],
        ["8x8x8", "Conv", "c2"],
        ["8x8x8", "Relu", "last, stage:2", "r2"],
    ]


def test_layers_are_listed_as_json(run: Run, convnet: Path) -> None:
    entries = parse_lines(run("layers", convnet, "--json").stdout)
    assert entries[-1] == {
        "tensor": "r2",
        "shape": [8, 8, 8],
        "axes": "NCHW",
        "prefix": 0,
        "is_cut": True,
        "producer": "Relu",
        "names": ["last", "stage:2"],
        "note": "",
    }


def test_model_without_layers_is_an_error(run: Run, model: Path) -> None:
    result = run("layers", model)
    assert result.exit_code == 1
    assert "tiny.onnx: no tensor of the model has a grid of positions" in result.stderr
