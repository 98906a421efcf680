"""Every published inpainter's convention, described by data, paints what its graph means to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto

from onnxplain.core.errors import InpainterError
from onnxplain.image import read_image, resize
from onnxplain.runtime import OnnxInpainter, load_inpainter
from tests.conftest import shared
from tests.helpers import models, painters
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


def load(made: ModelProto, folder: Path, **flags: Any) -> OnnxInpainter:
    return load_inpainter(models.save(made, folder / "painter.onnx"), device="cpu", flags=flags)


def rectangles(n: int, size: tuple[int, int]) -> Any:
    """A hole an image, each elsewhere, an eighth to a half of the sides."""
    masks = np.zeros((n, *size), np.float32)
    for k in range(n):
        top, left = (side * (k + 1) // 8 for side in size)
        masks[k, top : top + size[0] // 2 - k, left : left + size[1] // 3] = 1
    return masks


def mask_of_shape(dims: list[Any]) -> ModelProto:
    g = painters.Graph(channels=1)
    g.op("Add", "image", g.op("Mul", 0.0, g.op("ReduceMax", "mask", keepdims=0)))
    image = ["N", 3, "H", "W"]
    return g.model(
        {"image": (TensorProto.FLOAT, image), "mask": (TensorProto.FLOAT, dims)},
        ("output", TensorProto.FLOAT, image),
    )


@pytest.mark.parametrize("case", PUBLISHED)
def test_preset_paints_what_the_original_paints(tmp_path: Path, case: str) -> None:
    preset, build, size, tolerance = PUBLISHED[case]
    painter = load(build(), tmp_path, preset=preset)
    images, masks = photos(3, size), rectangles(3, size)
    got = painter.inpaint(images, masks)
    for image, mask, filled in zip(images, masks, got, strict=True):
        hole = mask > 0
        np.testing.assert_array_equal(filled[~hole], image[~hole])
        deep = hole if preset != "migan" else ~_near(~hole)  # its edge is feathered
        expected = np.broadcast_to(painters.painted(image, hole), filled[deep].shape)
        np.testing.assert_allclose(filled[deep], expected, atol=tolerance)


def _near(where: Any, by: int = 4) -> Any:
    out = np.zeros_like(where)
    for y in range(-by, by + 1):
        for x in range(-by, by + 1):
            out |= np.roll(np.roll(where, y, 0), x, 1)
    return out


@pytest.mark.parametrize("case", PUBLISHED)
def test_what_was_in_the_hole_never_shows_at_any_size(tmp_path: Path, case: str) -> None:
    preset, build, _, _ = PUBLISHED[case]
    painter = load(build(), tmp_path, preset=preset)
    for size in ((224, 224), (260, 260), (48, 60)):
        images, masks = photos(1, size), rectangles(1, size)
        other = np.where(masks[..., None] > 0, 1 - images, images)
        got = painter.inpaint(images, masks)
        np.testing.assert_array_equal(painter.inpaint(other, masks), got)
        np.testing.assert_array_equal(got[masks == 0], images[masks == 0])


@pytest.mark.parametrize("multiple", [1, 2, 8, 16, 32])
def test_multiple_of_the_sides_is_found_and_kept_to(tmp_path: Path, multiple: int) -> None:
    painter = load(painters.plain(multiple=multiple), tmp_path)
    assert painter.spec.multiple == multiple
    assert painter.spec.sources["multiple"] == "behaviour"
    images, masks = photos(1, (65, 50)), rectangles(1, (65, 50))
    got = painter.inpaint(images, masks)
    np.testing.assert_array_equal(got[masks == 0], images[masks == 0])
    other = np.where(masks[..., None] > 0, 1 - images, images)
    np.testing.assert_array_equal(painter.inpaint(other, masks), got)


def test_sides_are_continued_by_their_mirror_image(tmp_path: Path) -> None:
    painter = load(painters.plain(multiple=16), tmp_path)
    images, masks = photos(1, (40, 52)), rectangles(1, (40, 52))
    grown = np.pad(images, ((0, 0), (0, 8), (0, 12), (0, 0)), mode="symmetric")[0]
    hole = np.pad(masks, ((0, 0), (0, 8), (0, 12)), mode="symmetric")[0] > 0
    (filled,) = painter.inpaint(images, masks)
    expected = np.broadcast_to(painters.painted(grown, hole), filled[masks[0] > 0].shape)
    np.testing.assert_allclose(filled[masks[0] > 0], expected, atol=1e-5)


@pytest.mark.parametrize("multiple", [1, 16])
def test_toml_beside_the_file_describes_it(tmp_path: Path, multiple: int) -> None:
    made = painters.lama(("H", "W"), batch="N", scale=1.0)
    (tmp_path / "painter.toml").write_text(
        f'[inpainter]\npreset = "lama"\noutput_range = [0, 1]\nmultiple = {multiple}\n'
    )
    spec = load(made, tmp_path).spec
    assert (spec.output_range, spec.sources["output_range"]) == ((0.0, 1.0), "painter.toml")
    assert (spec.hole, spec.sources["hole"]) == (1.0, "preset lama (painter.toml)")
    assert spec.multiple == multiple
    assert load(made, tmp_path, multiple=4).spec.sources["multiple"] == "flag --inpainter-multiple"


def test_what_nobody_says_is_seen(tmp_path: Path) -> None:
    spec = load(painters.plain(hole=(0.0, 1.0), first_mask=True), tmp_path).spec
    assert (spec.hole, spec.known, spec.batch) == (0.0, 1.0, 1)
    spec = load(painters.lama(("H", "W"), batch="N"), tmp_path).spec
    assert spec.output_range == (0.0, 255.0)
    spec = load(painters.migan_pipeline(), tmp_path).spec
    assert (spec.hole, spec.known, spec.batch) == (0.0, 255.0, 1)
    assert {spec.sources[name] for name in ("hole", "known", "batch")} == {"behaviour"}
    spec = load(painters.deepfill_server(), tmp_path, colour="bgr", range=(0, 255)).spec
    assert (spec.pack, spec.size, spec.output_colour) == ("width", (256, 256), "rgb")
    spec = load(painters.plain(reads_hole=True), tmp_path).spec
    assert spec.premultiply
    assert spec.sources["premultiply"] == "behaviour"


def test_range_that_goes_in_is_seen_by_what_is_painted(tmp_path: Path) -> None:
    """Known pixels come back whatever range they went in with."""
    painter = load(painters.bytes_in_floats(), tmp_path)
    assert (painter.spec.range, painter.spec.output_range) == ((0.0, 255.0), (0.0, 255.0))
    assert painter.spec.sources["range"] == "behaviour"
    images, masks = photos(2, (40, 52)), rectangles(2, (40, 52))
    expected = load(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_allclose(painter.inpaint(images, masks), expected, atol=1e-5)
    (tmp_path / "painter.toml").write_text("[inpainter]\nrange = [0, 255]\n")
    told = load(painters.bytes_in_floats(), tmp_path)
    assert (told.spec.sources["range"], told.spec.output_range) == ("painter.toml", (0.0, 255.0))


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
def test_scale_of_the_mask_is_seen_where_nobody_says_it(tmp_path: Path, case: str) -> None:
    made, flags, values = SCALES[case]
    painter = load(made, tmp_path, **flags)
    assert (painter.spec.hole, painter.spec.known) == values
    assert not painter.spec.premultiply
    images, masks = photos(2, (40, 52)), rectangles(2, (40, 52))
    filled = painter.inpaint(images, masks)
    for one, image, mask in zip(filled, images, masks == 1, strict=True):
        want = painters.painted(image, mask)
        np.testing.assert_allclose(one[mask], np.broadcast_to(want, one[mask].shape), atol=BYTES)


def test_graph_that_ignores_its_mask_is_refused(tmp_path: Path) -> None:
    g = painters.Graph(channels=1)
    g.op("Add", "image", g.op("Mul", "mask", 0.0))
    dims = ["N", 3, "H", "W"]
    made = g.model(
        {"image": (TensorProto.FLOAT, dims), "mask": (TensorProto.FLOAT, ["N", 1, "H", "W"])},
        ("output", TensorProto.FLOAT, dims),
    )
    with pytest.raises(InpainterError, match=r"mask has no effect.*write hole and known"):
        load(made, tmp_path)


def test_graph_of_one_fixed_side_runs_at_the_size_that_is_said(tmp_path: Path) -> None:
    painter = load(painters.lama((256, "W")), tmp_path, size=(256, 320))
    images, masks = photos(1, (300, 224)), rectangles(1, (300, 224))
    got = painter.inpaint(images, masks)
    np.testing.assert_array_equal(got[masks == 0], images[masks == 0])
    hole = masks[0] > 0
    expected = np.broadcast_to(painters.painted(images[0], hole), got[0][hole].shape)
    np.testing.assert_allclose(got[0][hole], expected, atol=0.02)


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
    "first mask for all": (
        painters.plain(first_mask=True),
        {"batch": 0},
        r"says batch = 0.*another answer together than alone.*write batch = 1",
    ),
    "multiple": (
        painters.plain(multiple=16),
        {"multiple": 8},
        r"says multiple = 8.*write multiple = 16",
    ),
    "reads the hole": (
        painters.plain(reads_hole=True),
        {"premultiply": False},
        r"says premultiply = false.*write premultiply = true",
    ),
    "size": (painters.lama(), {"size": 256}, r"says size 256, 256, but the graph has 512, 512"),
    "element type": (painters.lama(), {"dtype": "uint8"}, r"says dtype uint8.*has float32"),
    "layout": (painters.lama(), {"layout": "nhwc"}, r"says layout nhwc, but the graph has nchw"),
    "batch": (painters.lama(), {"batch": 4}, r"says batch 4, but the graph has 1"),
    "pack": (painters.lama(), {"preset": "deepfill-v1"}, r"takes one input.*'separate'"),
    "channels": (
        painters.migan_generator(),
        {"pack": "channels", "channels": "image,ones,mask"},
        r"5 channels would go into or out of 'input' float32 \(\?, 4, \?, \?\)",
    ),
    "output name": (painters.lama(), {"output": "filled"}, r"no output 'filled'; its outputs: 'o"),
    "input name": (painters.lama(), {"mask_input": "m"}, r"no input 'm'; its inputs: 'image'"),
    "one input": (
        painters.migan_generator(),
        {},
        r"cannot be told.*write pack = 'channels' with channels = 'image,mask'",
    ),
    "no composite": (
        models.inpainter("dark"),
        {},
        r"nobody says what its output means.*write output_range",
    ),
    "wrong shape": (
        painters.halving(),
        {},
        r"runs at none of the sizes.*has shape \(1, 3, \d+, \d+\), where \(1, 3, 256, 768\)",
    ),
    "one side fixed": (
        painters.lama((256, "W")),
        {},
        r"one side.*'image' float32 \(1, 3, 256, \?\).*write size = \[256, 256\]",
    ),
    "one side fixed, and another said": (
        painters.lama((256, "W")),
        {"size": (128, 320)},
        r"says size 128, 320, but the graph has 256, 320",
    ),
    "one side fixed within": (
        painters.fixed_rows(256),
        {},
        r"runs at none of the sizes.*write size = \[ROWS, COLUMNS\]",
    ),
    "no mask, not blank": (
        painters.copying(),
        {"pack": "image", "premultiply": False},
        r"says premultiply = false, but a graph that takes no mask.*write premultiply = true",
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
    "hole, not of the mask's type": (
        painters.separate(mask_dtype=TensorProto.BOOL),
        {"hole": 255},
        r"hole is 255, which a mask of bool cannot hold",
    ),
    "range, not of the image's type": (
        painters.separate(dtype=TensorProto.UINT8),
        {"preset": "lama"},
        r"range is 0, 1, but the image goes in as whole numbers \(uint8\).*range = \[0, 255\]",
    ),
    "no mask among the channels": (
        painters.migan_generator(),
        {"pack": "channels", "channels": "image,ones"},
        r"channels must have image and mask among them, got 'image,ones'.*pack = 'image'",
    ),
    "one input for both": (
        painters.plain(),
        {"image_input": "image", "mask_input": "image"},
        r"image and mask cannot both be input 'image'; its inputs: 'image'",
    ),
    "mask of one axis": (
        mask_of_shape(["H"]),
        {},
        r"its mask input would be \(N, rows, columns\).*'mask' float32 \(\?\); put a Reshape",
    ),
    "mask of other axes": (
        mask_of_shape(["N", "H", "W", 1]),
        {},
        r"its mask input would be .*\(N, 1, rows, columns\).*\(\?, \?, \?, 1\)",
    ),
    "blank": (
        models.inpainter("dark"),
        {"pack": "image"},
        r"pack 'image' is said.*write pack = 'separate'",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradiction_says_what_was_said_what_was_seen_and_what_to_write(
    tmp_path: Path, case: str
) -> None:
    made, flags, says = CONTRADICTIONS[case]
    with pytest.raises(InpainterError, match=rf"(?s)painter.onnx: .*{says}"):
        load(made, tmp_path, **flags)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("inpainter = 3", "inpainter must be a table, got 3"),
        ('[inpainter]\nlayuot = "nchw"', "'layuot' is unknown; did you mean 'layout'"),
        ('[inpainter]\nlayout = "nhwcc"', "layout 'nhwcc' is unknown; did you mean 'nhwc'"),
        ('[inpainter]\npreset = "lamma"', "preset 'lamma' is unknown; did you mean 'lama'"),
        ("[inpainter]\nhole = 0\nknown = 0", "hole and known must differ"),
        ("[inpainter]\nrange = [1, 0]", "range needs a low and a higher number"),
        ("[inpainter]\nmultiple = 0", "multiple must be >= 1"),
        ("hole = 0", r"describes no inpainter; put hole under \[inpainter\]"),
        ("[inpainter", "not a readable TOML file"),
    ],
)
def test_description_that_cannot_be_read_is_an_error(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "painter.toml").write_text(text)
    with pytest.raises(InpainterError, match=says):
        load(painters.plain(), tmp_path)


def test_checks_tell_what_is_wrong_with_a_graph(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def failed(made: ModelProto) -> dict[str, str]:
        return {one.name: one.text for one in load(made, tmp_path).checks if one.passed is False}

    assert not failed(painters.plain())
    assert "differ by" in failed(painters.plain(noise=0.1))["determinism"]
    assert "one at a time" in failed(painters.plain(first_mask=True))["mask a sample"]
    assert "do not go in together" in failed(painters.migan_pipeline())["batch"]
    assert "NaN" in failed(painters.plain(empty=0.0))["whole image a hole"]
    assert "with range [0, 1], where" in failed(painters.plain(noise=1e4))["painted pixels"]
    doubtful = load(models.inpainter("dark"), tmp_path, output_range=(-1, 0.2)).checks
    assert {one.name: one.passed for one in doubtful}["range and colour"] is False
    assert "painter.onnx: determinism: two runs on the same input differ" in caplog.text


def test_known_pixels_that_are_roughly_given_back_read_as_described(tmp_path: Path) -> None:
    painter = load(painters.all_new(), tmp_path, preset="lama")
    checks = {one.name: one.passed for one in painter.checks}
    assert checks["range and colour"] is None
    generator = load(painters.migan_generator(keeps=0.9), tmp_path, preset="migan-generator")
    assert {one.name: one.passed for one in generator.checks}["polarity"] is True
    images, masks = photos(2, (40, 52)), rectangles(2, (40, 52))
    expected = load(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_allclose(painter.inpaint(images, masks), expected, atol=1e-5)


def test_first_mask_of_a_batch_is_not_taken_for_all(tmp_path: Path) -> None:
    images, masks = photos(3, (40, 52)), rectangles(3, (40, 52))
    lying, honest = (
        load(painters.plain(first_mask=first), tmp_path).inpaint(images, masks)
        for first in (True, False)
    )
    np.testing.assert_allclose(lying, honest, atol=1e-6)


@pytest.mark.parametrize("first_mask", [False, True])
def test_graph_of_a_fixed_batch_runs_any_number_of_images(tmp_path: Path, first_mask: bool) -> None:
    images, masks = photos(5, (40, 52)), rectangles(5, (40, 52))
    painter = load(painters.plain(batch=3, first_mask=first_mask), tmp_path)
    assert painter.batch_size == (1 if first_mask else 3)
    expected = load(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_allclose(painter.inpaint(images, masks), expected, atol=1e-6)


FORMS: dict[str, dict[str, Any]] = {
    "nhwc": {"layout": "nhwc"},
    "float16": {"dtype": TensorProto.FLOAT16, "mask_dtype": TensorProto.FLOAT16},
    "bytes": {"dtype": TensorProto.UINT8, "mask_dtype": TensorProto.UINT8, "layout": "nhwc"},
    "mask of truth values": {"mask_dtype": TensorProto.BOOL},
    "mask of integers": {"mask_dtype": TensorProto.INT64, "layout": "nhwc"},
    "mask without channels": {"mask_axis": False},
}


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_mean_and_deviation_are_in_the_graphs_channel_order(tmp_path: Path, colour: str) -> None:
    images, masks = photos(2, (40, 52)), rectangles(2, (40, 52))
    norm = {"mean": (0.4, 0.45, 0.5), "std": (0.2, 0.25, 0.3)}
    painter = load(painters.separate(colour=colour, **norm), tmp_path, colour=colour, **norm)
    assert painter.spec.output_colour == "rgb"
    expected = load(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_allclose(painter.inpaint(images, masks), expected, atol=1e-5)


def test_output_is_chosen_by_name_or_index(tmp_path: Path) -> None:
    made, flags = painters.deepfill_torch(), {"preset": "deepfill-v1-torch"}
    assert load(made, tmp_path, **flags).spec.output == "fine"
    coarse, _, _ = (one.name for one in made.graph.output)
    assert load(made, tmp_path, **flags, output=0).spec.output == coarse
    assert load(made, tmp_path, **flags, output="fine").spec.output == "fine"
    with pytest.raises(InpainterError, match="several outputs may be the painted image"):
        load(made, tmp_path, output_range=(-1, 1))


def test_metadata_of_the_file_describes_it(tmp_path: Path) -> None:
    made = painters.migan_generator()
    text = '{"preset": "migan-generator", "multiple": 2}'
    onnx.helper.set_model_props(made, {"onnxplain.inpainter": text})
    spec = load(made, tmp_path).spec
    assert (spec.multiple, spec.sources["multiple"]) == (2, "ONNX metadata")
    assert spec.sources["hole"] == "preset migan-generator (ONNX metadata)"
    onnx.helper.set_model_props(made, {"onnxplain.inpainter": "{"})
    with pytest.raises(InpainterError, match="is no JSON"):
        load(made, tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_form_of_inputs_and_output_is_told_by_the_graph(tmp_path: Path, form: str) -> None:
    images, masks = photos(2, (40, 52)), rectangles(2, (40, 52))
    got = load(painters.separate(**FORMS[form]), tmp_path).inpaint(images, masks)
    expected = load(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_array_equal(got[masks == 0], images[masks == 0])
    short = FORMS[form].get("dtype") is not None
    np.testing.assert_allclose(got, expected, atol=BYTES if short else 1e-6)


def test_mask_of_three_channels_is_three_times_the_mask(tmp_path: Path) -> None:
    images, masks = photos(2, (40, 52)), rectangles(2, (40, 52))
    painter = load(painters.plain(channels=3), tmp_path)
    assert (painter.spec.mask_input, painter.spec.mask_channels) == ("mask", 3)
    expected = load(painters.plain(), tmp_path).inpaint(images, masks)
    np.testing.assert_array_equal(painter.inpaint(images, masks), expected)


def test_what_was_found_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = painters.plain(hole=(0.0, 1.0), multiple=8)
    first = load(made, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("onnxplain.runtime.inpainters.model.examine", None)  # must not be called
        again = load(made, tmp_path)
    assert again.record() == first.record()
    told = load(made, tmp_path, hole=0)  # another description is another question
    assert told.spec.sources["hole"] == "flag --inpainter-hole"


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("ffc-unet-128.onnx", {}),
        ("ffc-unet-128-dft.onnx", {"pack": "image", "output_range": (0, 1)}),
    ],
)
def test_real_exports_paint_the_same(name: str, flags: dict[str, Any]) -> None:
    """Both exports of one network: the known pixels' composite in the graph, or made here."""
    photo = resize(
        read_image(min(shared("data/eval/images").iterdir())), (128, 128), antialias=True
    )
    masks = rectangles(1, (128, 128))
    reference = load_inpainter(shared("models/ffc-unet-128.onnx"), device="cpu")
    painter = load_inpainter(shared(f"models/{name}"), device="cpu", flags=flags)
    got = painter.inpaint(photo[None], masks)
    np.testing.assert_allclose(got, reference.inpaint(photo[None], masks), atol=1e-4)
    hole = masks[0] > 0
    assert np.abs(got[0] - photo)[hole].mean() < 0.2
