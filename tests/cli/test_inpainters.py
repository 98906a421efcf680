"""The options that describe an inpainter."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import onnx
import pytest

from onnxplain.cli import explain
from onnxplain.describe.inpainter.inpainter_spec import INPAINTER_PARAMETERS
from tests.cli.conftest import Run, parse_lines
from tests.helpers import models, painters

FEW_GENERATIVE = (
    ("lime-g", "--n-samples", 8),
    ("rise-g", "--n-masks", 8),
    ("sp-g", "--patch", 8),
    ("mp-g", "--n-steps", 2, "--grid", 4),
    ("mp-g", "--n-steps", 2, "--grid", 4, "--start", "circle", "--binary"),
    ("mp2-g", "--grid", 4, "--max-area", 0.3),
    ("fido-ca", "--n-steps", 2, "--grid", 4),
)


@pytest.mark.parametrize(("method", "words"), [(words[0], words[1:]) for words in FEW_GENERATIVE])
def test_generative_methods_take_an_inpainter(
    run: Run, model: Path, photo: Path, method: str, words: tuple[object, ...]
):
    onnx.save(models.inpainter(), "painter.onnx")
    words = ("--method", method, *words, "--inpainter", "painter.onnx", "--json")
    (explained,) = parse_lines(run("explain", photo, "-m", model, *words).stdout)
    assert (explained["method"], explained["fill"]) == (method, "inpaint")
    record = json.loads(Path(str(explained["record"])).read_text())
    assert record["provenance"]["inpainter"]["inpainter"] == "painter.onnx"
    assert explained["inpaints"] > 0
    assert 0 < explained["inpaint_share"] < 1
    keys = ("inpaints", "inpaint_seconds", "inpaint_share")
    assert [record[key] for key in keys] == [explained[key] for key in keys]


def test_inpainter_of_another_convention_is_described_by_a_file_or_by_options(
    run: Run, model: Path, photo: Path
):
    onnx.save(painters.plain(), "plain.onnx")
    onnx.save(painters.deepfill_network(), "described.onnx")
    onnx.save(painters.deepfill_network(), "options.onnx")
    Path("described.toml").write_text('[inpainter]\npreset = "deepfill-v1-network"\n')
    maps = []
    for painter, *words in (
        ("plain.onnx",),
        ("described.onnx",),
        ("options.onnx", "--inpainter-preset", "deepfill-v1-network", "--inpainter-multiple", 1),
    ):
        asked = ("--method", "sp-g", "--patch", 8, "--inpainter", painter, *words, "--json")
        result = run("explain", photo, "-m", model, *asked, "-o", painter + "-out")
        assert result.exit_code == 0, result.stderr
        (explained,) = parse_lines(result.stdout)
        maps.append(np.load(str(explained["heatmap"]))["heatmap"])
        provenance = json.loads(Path(str(explained["record"])).read_text())["provenance"][
            "inpainter"
        ]
        assert ("described" in painter or "options" in painter) == bool(provenance["described"])
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-4)
    np.testing.assert_array_equal(maps[2], maps[1])


def test_every_field_of_a_description_is_an_option():
    options = {param.name for param in explain.command.params if isinstance(param, click.Option)}
    assert {f"inpainter_{name}" for name in (*INPAINTER_PARAMETERS, "preset")} <= options


def test_inpainter_is_for_the_fill_that_needs_it(run: Run, model: Path, photo: Path):
    onnx.save(models.inpainter(), "painter.onnx")
    words = ("explain", photo, "-m", model, "--method", "sp", "--patch", 8, "--fill", "inpaint")
    result = run(*words, "--inpainter", "painter.onnx", "--json")
    (explained,) = parse_lines(result.stdout)
    assert (explained["method"], explained["fill"]) == ("sp-g", "inpaint")
