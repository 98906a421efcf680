"""The values of the mask are seen where nobody describes them, and contradicted where wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from onnxplain.core.errors import InpainterError
from tests.helpers import painters
from tests.helpers.painters import check_contradiction, load_painter, make_rectangles
from tests.helpers.specs import photos

BYTES = 1.5 / 255  # rounded on the way in, cut off on the way out


BYTE, INT = TensorProto.UINT8, TensorProto.INT64


SCALES: dict[str, tuple[ModelProto, dict[str, Any], tuple[float, float]]] = {
    "255 is a hole": (painters.plain(hole=(255, 0)), {}, (255, 0)),
    "255 is known": (painters.plain(hole=(0, 255)), {}, (0, 255)),
    "about 0": (painters.plain(hole=(-0.5, 0.5)), {}, (-0.5, 0.5)),
    "floats of 0..255": (
        painters.bytes_in_floats(full=255),
        {"range": (0, 255), "output_range": (0, 255)},
        (255, 0),
    ),
    "floats of 0..255, untold": (painters.bytes_in_floats(full=255), {}, (255, 0)),
    "a threshold above 1": (painters.plain(threshold=127.5), {}, (255, 0)),
    "whole numbers": (painters.separate(mask_dtype=INT, full=255), {}, (255, 0)),
    "1 in bytes": (painters.separate(dtype=BYTE, mask_dtype=BYTE, full=1), {}, (1, 0)),
}


@pytest.mark.parametrize("case", SCALES)
def test_the_scale_of_the_mask_is_seen_where_nobody_describes_it(tmp_path: Path, case: str) -> None:
    model, flags, values = SCALES[case]
    painter = load_painter(model, tmp_path, **flags)
    assert (painter.spec.hole, painter.spec.known) == values
    assert not painter.spec.premultiply
    images, masks = photos(2, (40, 52)), make_rectangles(2, (40, 52))
    filled = painter.inpaint(images, masks)
    for picture, image, mask in zip(filled, images, masks == 1, strict=True):
        colour = painters.compute_colour(image, mask)
        expected = np.broadcast_to(colour, picture[mask].shape)
        np.testing.assert_allclose(picture[mask], expected, atol=BYTES)


def test_a_graph_that_ignores_its_mask_is_refused(tmp_path: Path) -> None:
    g = painters.Graph(channels=1)
    g.op("Add", "image", g.op("Mul", "mask", 0.0))
    dims = ["N", 3, "H", "W"]
    model = g.model(
        {"image": (TensorProto.FLOAT, dims), "mask": (TensorProto.FLOAT, ["N", 1, "H", "W"])},
        ("output", TensorProto.FLOAT, dims),
    )
    with pytest.raises(InpainterError, match=r"mask has no effect.*write hole and known"):
        load_painter(model, tmp_path)


CONTRADICTIONS: dict[str, tuple[ModelProto, dict[str, Any], str]] = {
    "polarity": (
        painters.plain(hole=(0.0, 1.0)),
        {"hole": 1, "known": 0},
        r"flag --inpainter-hole says hole = 1.0, known = 0.0.*in the hole shows by .*"
        r"write hole = 0.0 and known = 1.0",
    ),
    "polarity by its other end": (
        painters.plain(hole=(0.0, 1.0)),
        {"known": 0},
        r"flag --inpainter-known says hole = 1.0, known = 0.0.*write hole = 0.0 and known = 1.0",
    ),
    "polarity of a generator that gives known pixels roughly back": (
        painters.migan_generator(keeps=0.9),
        {"preset": "migan-generator", "hole": 0.5, "known": -0.5},
        r"says hole = 0.5, known = -0.5.*known pixels are .* off.*"
        r"write hole = -0.5 and known = 0.5",
    ),
    "pipeline": (
        painters.migan_pipeline(),
        {"preset": "migan", "hole": 255, "known": 0},
        r"write hole = 0.0 and known = 255.0",
    ),
    "reads the hole": (
        painters.plain(reads_hole=True),
        {"premultiply": False},
        r"says premultiply = false.*write premultiply = true",
    ),
    "hole, 255 times too large": (
        painters.plain(),
        {"hole": 255},
        r"says hole = 255.0, known = 0.0.*write hole = 1.0 and known = 0.0",
    ),
    "hole, too small for a threshold": (
        painters.plain(threshold=127.5),
        {"preset": "plain"},
        r"preset plain \(flag\) says hole = 1.0.*write hole = 255.0 and known = 0.0",
    ),
    "hole, half of it": (
        painters.plain(hole=(255, 0)),
        {"hole": 127},
        r"says hole = 127.0.*write hole = 255.0 and known = 0.0",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_says_what_was_described_what_was_seen_and_what_to_write(
    tmp_path: Path, case: str
) -> None:
    check_contradiction(*CONTRADICTIONS[case], tmp_path)
