"""Range and channel order are seen by known and by painted pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from tests.helpers import models, painters
from tests.helpers.painters import check_contradiction, load_painter, make_rectangles
from tests.helpers.specs import photos


def test_the_input_range_is_seen_by_the_painted_pixels(tmp_path: Path) -> None:
    """Known pixels come back whatever range they went in with, so they do not show it."""
    painter = load_painter(painters.bytes_in_floats(), tmp_path)
    assert (painter.spec.range, painter.spec.output_range) == ((0.0, 255.0), (0.0, 255.0))
    assert painter.spec.sources["range"] == "behaviour"
    images, masks = photos(2, (40, 52)), make_rectangles(2, (40, 52))
    expected = load_painter(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_allclose(painter.inpaint(images, masks), expected, atol=1e-5)
    (tmp_path / "painter.toml").write_text("[inpainter]\nrange = [0, 255]\n")
    spec = load_painter(painters.bytes_in_floats(), tmp_path).spec
    assert (spec.sources["range"], spec.output_range) == ("painter.toml", (0.0, 255.0))


def test_known_pixels_that_roughly_come_back_are_read_as_described(tmp_path: Path) -> None:
    painter = load_painter(painters.all_new(), tmp_path, preset="lama")
    checks = {check.name: check.passed for check in painter.checks}
    assert checks["range and colour"] is None
    generator = load_painter(
        painters.migan_generator(keeps=0.9), tmp_path, preset="migan-generator"
    )
    assert {check.name: check.passed for check in generator.checks}["polarity"] is True
    images, masks = photos(2, (40, 52)), make_rectangles(2, (40, 52))
    expected = load_painter(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_allclose(painter.inpaint(images, masks), expected, atol=1e-5)


CONTRADICTIONS: dict[str, tuple[ModelProto, dict[str, Any], str]] = {
    "output range": (
        painters.lama(("H", "W"), batch="N"),
        {"preset": "plain"},
        r"preset plain \(flag\) says output_range = \[0, 1\].*write output_range = \[0, 255\]",
    ),
    "range, by its answer": (
        painters.bytes_in_floats(),
        {"preset": "lama"},
        r"preset lama \(flag\) says range = \[0, 1\], but.*painted pixels lie in .* with range "
        r"\[0, 1\].*write range = \[0, 255\]$",
    ),
    "range in and out": (
        painters.bytes_in_floats(),
        {"preset": "plain"},
        r"says range = \[0, 1\], output_range = \[0, 1\].*"
        r"write range = \[0, 255\] and output_range = \[0, 255\]",
    ),
    "output range, not quite the known pixels": (
        painters.all_new(),
        {"preset": "plain"},
        r"preset plain \(flag\) says output_range = \[0, 1\].*off so.*output_range = \[0, 255\]$",
    ),
    "output colour, not quite the known pixels": (
        painters.all_new(),
        {"preset": "lama", "output_colour": "bgr"},
        r"says output_colour = 'bgr'.*write output_colour = 'rgb'",
    ),
    "output colour": (
        painters.lama((64, 64)),
        {"preset": "lama", "output_colour": "bgr"},
        r"says output_colour = 'bgr'.*write output_colour = 'rgb'",
    ),
    "no composite": (
        models.inpainter("dark"),
        {},
        r"nobody says what its output means.*write output_range",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_says_what_was_described_what_was_seen_and_what_to_write(
    tmp_path: Path, case: str
) -> None:
    check_contradiction(*CONTRADICTIONS[case], tmp_path)
