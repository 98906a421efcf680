"""The sizes that a graph takes are found by running it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from tests.helpers import painters
from tests.helpers.painters import check_contradiction, load_painter, make_rectangles
from tests.helpers.specs import photos


@pytest.mark.parametrize("multiple", [1, 2, 8, 16, 32])
def test_the_multiple_of_the_sides_is_found_and_respected(tmp_path: Path, multiple: int) -> None:
    painter = load_painter(painters.plain(multiple=multiple), tmp_path)
    assert painter.spec.multiple == multiple
    assert painter.spec.sources["multiple"] == "behaviour"
    images, masks = photos(1, (65, 50)), make_rectangles(1, (65, 50))
    got = painter.inpaint(images, masks)
    np.testing.assert_array_equal(got[masks == 0], images[masks == 0])
    other = np.where(masks[..., None] > 0, 1 - images, images)
    np.testing.assert_array_equal(painter.inpaint(other, masks), got)


def test_a_graph_with_one_fixed_side_runs_at_the_described_size(tmp_path: Path) -> None:
    painter = load_painter(painters.lama((256, "W")), tmp_path, size=(256, 320))
    images, masks = photos(1, (300, 224)), make_rectangles(1, (300, 224))
    got = painter.inpaint(images, masks)
    np.testing.assert_array_equal(got[masks == 0], images[masks == 0])
    hole = masks[0] > 0
    expected = np.broadcast_to(painters.compute_colour(images[0], hole), got[0][hole].shape)
    np.testing.assert_allclose(got[0][hole], expected, atol=0.02)


CONTRADICTIONS: dict[str, tuple[ModelProto, dict[str, Any], str]] = {
    "multiple": (
        painters.plain(multiple=16),
        {"multiple": 8},
        r"says multiple = 8.*write multiple = 16",
    ),
    "wrong shape": (
        painters.halving(),
        {},
        r"runs at none of the sizes.*has shape \(1, 3, \d+, \d+\), where \(1, 3, 256, 768\)",
    ),
    "one side fixed within": (
        painters.fixed_rows(256),
        {},
        r"runs at none of the sizes.*write size = \[ROWS, COLUMNS\]",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_says_what_was_described_what_was_seen_and_what_to_write(
    tmp_path: Path, case: str
) -> None:
    check_contradiction(*CONTRADICTIONS[case], tmp_path)
