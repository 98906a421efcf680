"""The checks of an inpainter say what its behaviour shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from tests.helpers import models, painters
from tests.helpers.painters import check_contradiction, load_painter, make_rectangles
from tests.helpers.specs import photos


def test_fields_that_nobody_describes_are_seen(tmp_path: Path) -> None:
    spec = load_painter(painters.plain(hole=(0.0, 1.0), first_mask=True), tmp_path).spec
    assert (spec.hole, spec.known, spec.batch) == (0.0, 1.0, 1)
    spec = load_painter(painters.lama(("H", "W"), batch="N"), tmp_path).spec
    assert spec.output_range == (0.0, 255.0)
    spec = load_painter(painters.migan_pipeline(), tmp_path).spec
    assert (spec.hole, spec.known, spec.batch) == (0.0, 255.0, 1)
    assert {spec.sources[name] for name in ("hole", "known", "batch")} == {"behaviour"}
    spec = load_painter(painters.deepfill_server(), tmp_path, colour="bgr", range=(0, 255)).spec
    assert (spec.pack, spec.size, spec.output_colour) == ("width", (256, 256), "rgb")
    spec = load_painter(painters.plain(reads_hole=True), tmp_path).spec
    assert spec.premultiply
    assert spec.sources["premultiply"] == "behaviour"


def test_failed_checks_say_what_is_wrong_with_a_graph(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def list_failed(model: ModelProto) -> dict[str, str]:
        checks = load_painter(model, tmp_path).checks
        return {check.name: check.text for check in checks if check.passed is False}

    assert not list_failed(painters.plain())
    assert "differ by" in list_failed(painters.plain(noise=0.1))["determinism"]
    assert "one at a time" in list_failed(painters.plain(first_mask=True))["mask a sample"]
    assert "do not go in together" in list_failed(painters.migan_pipeline())["batch"]
    assert "NaN" in list_failed(painters.plain(empty=0.0))["whole image a hole"]
    assert "with range [0, 1], where" in list_failed(painters.plain(noise=1e4))["painted pixels"]
    doubtful = load_painter(models.inpainter("dark"), tmp_path, output_range=(-1, 0.2)).checks
    assert {check.name: check.passed for check in doubtful}["range and colour"] is False
    assert "painter.onnx: determinism: two runs on the same input differ" in caplog.text


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_records_say_whether_an_inpainter_paints_the_same_again(
    noise: float, tmp_path: Path
) -> None:
    painter = load_painter(painters.plain(noise=noise), tmp_path)
    assert painter.provenance["deterministic"] is (noise == 0)


def test_a_graph_that_applies_the_first_mask_to_all_gets_single_images(tmp_path: Path) -> None:
    images, masks = photos(3, (40, 52)), make_rectangles(3, (40, 52))
    lying, honest = (
        load_painter(painters.plain(first_mask=first), tmp_path).inpaint(images, masks)
        for first in (True, False)
    )
    np.testing.assert_allclose(lying, honest, atol=1e-6)


@pytest.mark.parametrize("first_mask", [False, True])
def test_a_graph_of_fixed_batch_paints_any_number_of_images(
    tmp_path: Path, first_mask: bool
) -> None:
    images, masks = photos(5, (40, 52)), make_rectangles(5, (40, 52))
    painter = load_painter(painters.plain(batch=3, first_mask=first_mask), tmp_path)
    assert painter.batch_size == (1 if first_mask else 3)
    expected = load_painter(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_allclose(painter.inpaint(images, masks), expected, atol=1e-6)


CONTRADICTIONS: dict[str, tuple[ModelProto, dict[str, Any], str]] = {
    "first mask for all": (
        painters.plain(first_mask=True),
        {"batch": 0},
        r"says batch = 0.*another answer together than alone.*write batch = 1",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_says_what_was_described_what_was_seen_and_what_to_write(
    tmp_path: Path, case: str
) -> None:
    check_contradiction(*CONTRADICTIONS[case], tmp_path)
