"""``onnxplain layers`` lists what methods of layers can look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

import onnxplain
from tests.cli.conftest import HEAD, Run, parse_lines


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


def save_labelled(folder: Path, model: Path) -> tuple[Path, Path]:
    """Save photos of noise, labelled as the model sees them, with a box around all of each."""
    classifier, rows = onnxplain.load(model), []
    (folder / "photos").mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8)
        path = folder / "photos" / f"{i}.png"
        PIL.Image.fromarray(pixels).save(path)
        rows.append(f"{path.name},{classifier.predict(path, top=1)[0].index},0,0,16,16,16,16\n")
    labels = folder / "labels.csv"
    labels.write_text(HEAD + "".join(rows))
    return folder / "photos", labels


def test_weighing_prints_what_to_write_after_method(run: Run, convnet: Path, folder: Path) -> None:
    photos, labels = save_labelled(folder, convnet)
    asked = ("layers", convnet, "--weigh", photos, "--annotations", labels, "--base", "layer-cam")
    lines = run(*asked).stdout.splitlines()
    assert lines[0] == "Accuracy in the pointing game on 3 photos:"
    assert lines[1:-1] == ["1.000  r1", "1.000  r2"]
    assert lines[-1] == "combined:base=layer-cam,weights=0.5000/0.5000"
    assert run("explain", photos / "0.png", "-m", convnet, "--method", lines[-1]).exit_code == 0
    (entry,) = parse_lines(run(*asked, "--json").stdout)
    assert entry["layers"] == ["r1", "r2"]
    assert entry["photos"] == 3


def test_weighing_without_photos_is_an_error(run: Run, convnet: Path) -> None:
    alone = run("layers", convnet, "--limit", 3)
    assert alone.exit_code == 2
    assert "--limit belongs to --weigh FOLDER" in alone.stderr
    missing = run("layers", convnet, "--weigh", "nowhere")
    assert missing.exit_code in (1, 2)
    assert "nowhere" in missing.stderr


def test_options_of_weigh_need_it(run: Run, convnet: Path) -> None:
    for option, value in (("--base", "layer-cam"), ("--limit", "3"), ("--annotations", "a.csv")):
        refused = run("layers", convnet, option, value)
        assert refused.exit_code == 2
        assert f"{option} belongs to --weigh FOLDER; add it" in refused.stderr
