"""Every published inpainter's convention, described by data, paints what its graph is meant to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from tests.helpers import painters
from tests.helpers.painters import load_painter, make_rectangles
from tests.helpers.specs import photos

BYTES = 1.5 / 255  # rounded on the way in, cut off on the way out


PUBLISHED: dict[str, tuple[str, Callable[[], ModelProto], tuple[int, int], float]] = {
    "deepfill-v1": ("deepfill-v1", painters.deepfill_server, (256, 256), BYTES),
    "deepfill-v1, not turned back": (
        "deepfill-v1",
        lambda: painters.deepfill_server(turned_back=False),
        (256, 256),
        BYTES,
    ),
    "deepfill-v2": (
        "deepfill-v2",
        lambda: painters.deepfill_server(first_mask=True),
        (256, 256),
        BYTES,
    ),
    "deepfill-v1-network": ("deepfill-v1-network", painters.deepfill_network, (40, 52), 1e-5),
    "deepfill-v1-torch": ("deepfill-v1-torch", painters.deepfill_torch, (40, 52), 1e-5),
    "lama": ("lama", painters.lama, (512, 512), 1e-5),
    "lama, dynamic": ("lama", lambda: painters.lama(("H", "W"), batch="N"), (40, 52), 1e-5),
    "opencv-lama": ("opencv-lama", lambda: painters.lama(colour="bgr"), (512, 512), 1e-5),
    "migan": ("migan", painters.migan_pipeline, (40, 52), BYTES),
    "migan-generator": ("migan-generator", painters.migan_generator, (40, 52), 1e-5),
    "plain": ("plain", painters.plain, (40, 52), 1e-5),
}


@pytest.mark.parametrize("case", PUBLISHED)
def test_a_preset_paints_what_the_original_paints(tmp_path: Path, case: str) -> None:
    preset, build, size, tolerance = PUBLISHED[case]
    painter = load_painter(build(), tmp_path, preset=preset)
    images, masks = photos(3, size), make_rectangles(3, size)
    got = painter.inpaint(images, masks)
    for image, mask, filled in zip(images, masks, got, strict=True):
        hole = mask > 0
        np.testing.assert_array_equal(filled[~hole], image[~hole])
        deep = hole if preset != "migan" else ~dilate(~hole)  # its edge is feathered
        expected = np.broadcast_to(painters.compute_colour(image, hole), filled[deep].shape)
        np.testing.assert_allclose(filled[deep], expected, atol=tolerance)


def dilate(inside: Any, by: int = 4) -> Any:
    dilated = np.zeros_like(inside)
    for y in range(-by, by + 1):
        for x in range(-by, by + 1):
            dilated |= np.roll(np.roll(inside, y, 0), x, 1)
    return dilated


@pytest.mark.parametrize("case", PUBLISHED)
def test_pixels_in_the_hole_never_show_at_any_size(tmp_path: Path, case: str) -> None:
    preset, build, _, _ = PUBLISHED[case]
    painter = load_painter(build(), tmp_path, preset=preset)
    for size in ((224, 224), (260, 260), (48, 60)):
        images, masks = photos(1, size), make_rectangles(1, size)
        other = np.where(masks[..., None] > 0, 1 - images, images)
        got = painter.inpaint(images, masks)
        np.testing.assert_array_equal(painter.inpaint(other, masks), got)
        np.testing.assert_array_equal(got[masks == 0], images[masks == 0])


FORMS: dict[str, dict[str, Any]] = {
    "nhwc": {"layout": "nhwc"},
    "float16": {"dtype": TensorProto.FLOAT16, "mask_dtype": TensorProto.FLOAT16},
    "bytes": {"dtype": TensorProto.UINT8, "mask_dtype": TensorProto.UINT8, "layout": "nhwc"},
    "mask of bool": {"mask_dtype": TensorProto.BOOL},
    "mask of integers": {"mask_dtype": TensorProto.INT64, "layout": "nhwc"},
    "mask without channels": {"mask_axis": False},
}


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_mean_and_deviation_are_in_the_graphs_channel_order(tmp_path: Path, colour: str) -> None:
    images, masks = photos(2, (40, 52)), make_rectangles(2, (40, 52))
    norm = {"mean": (0.4, 0.45, 0.5), "std": (0.2, 0.25, 0.3)}
    painter = load_painter(
        painters.separate(colour=colour, **norm), tmp_path, colour=colour, **norm
    )
    assert painter.spec.output_colour == "rgb"
    expected = load_painter(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_allclose(painter.inpaint(images, masks), expected, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_inputs_and_output_is_read_from_the_graph(tmp_path: Path, form: str) -> None:
    images, masks = photos(2, (40, 52)), make_rectangles(2, (40, 52))
    got = load_painter(painters.separate(**FORMS[form]), tmp_path).inpaint(images, masks)
    expected = load_painter(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_array_equal(got[masks == 0], images[masks == 0])
    short = FORMS[form].get("dtype") is not None
    np.testing.assert_allclose(got, expected, atol=BYTES if short else 1e-6)


def test_a_mask_of_three_channels_repeats_the_mask(tmp_path: Path) -> None:
    images, masks = photos(2, (40, 52)), make_rectangles(2, (40, 52))
    painter = load_painter(painters.plain(channels=3), tmp_path)
    assert (painter.spec.mask_input, painter.spec.mask_channels) == ("mask", 3)
    expected = load_painter(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_array_equal(painter.inpaint(images, masks), expected)
