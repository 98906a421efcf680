"""ONNX inpainters are described, checked, and fill holes; every other pixel stays bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto

from onnxplain.core.errors import InpainterError
from onnxplain.image import read_image, resize
from onnxplain.runtime import OnnxInpainter, load_inpainter
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.session import Session
from tests.conftest import shared
from tests.helpers import models, painters
from tests.helpers.painters import check_contradiction, load_painter, make_rectangles
from tests.helpers.specs import photos


def load(tmp_path: Path, kind: str, size: Any = ("H", "W"), **flags: Any) -> OnnxInpainter:
    path = models.save(models.inpainter(kind, size), tmp_path / f"{kind}.onnx")
    return load_inpainter(path, device="cpu", flags=flags)


def make_holes(n: int, size: tuple[int, int], seed: int = 0) -> Any:
    masks = np.zeros((n, *size), np.float32)
    for k, (top, left) in enumerate(np.random.default_rng(seed).integers(0, 6, (n, 2))):
        masks[k, top : top + 6, left : left + 4] = 1
    return masks


@pytest.mark.parametrize("n", [1, 3, 11])
def test_holes_get_the_mean_of_the_known_pixels(tmp_path: Path, n: int) -> None:
    images, masks = photos(n, (16, 12)), make_holes(n, (16, 12))
    got = load(tmp_path, "mean").inpaint(images, masks)
    for image, mask, filled in zip(images, masks, got, strict=True):
        hole = mask.astype(bool)
        np.testing.assert_allclose(
            filled[hole], np.broadcast_to(image[~hole].mean(axis=0), filled[hole].shape), atol=1e-6
        )
        np.testing.assert_array_equal(filled[~hole], image[~hole])


@pytest.mark.parametrize("size", [("H", "W"), (16, 12), (10, 20)])
def test_known_pixels_stay_bit_for_bit_even_if_the_graph_changes_them(
    tmp_path: Path, size: Any
) -> None:
    images, masks = photos(2, (16, 12)), make_holes(2, (16, 12))
    got = load(tmp_path, "dark", size, output_range=(0, 1)).inpaint(images, masks)
    known = masks == 0
    np.testing.assert_array_equal(got[known], images[known])
    assert (got[~known] <= 0.5 + 1e-6).all()


@pytest.mark.parametrize("inner", [(8, 6), (32, 40), (9, 17)])
def test_a_graph_of_one_size_never_sees_the_removed_pixels(
    tmp_path: Path, inner: tuple[int, int]
) -> None:
    # Known pixels are one grey, the hole is white: any leak makes the mean lighter.
    masks = make_holes(3, (16, 12))
    images = np.where(masks[..., None] > 0, 1, 0.25).astype(np.float32).repeat(3, axis=3)
    got = load(tmp_path, "mean", inner).inpaint(images, masks)
    np.testing.assert_allclose(got, np.full_like(images, 0.25), atol=1e-6)


@pytest.mark.parametrize("inner", [(32, 32), (8, 8), (8, 40)])
@pytest.mark.parametrize("height", [1, 6])
def test_the_graphs_version_of_known_pixels_is_not_mixed_into_the_hole(
    tmp_path: Path, inner: tuple[int, int], height: int
) -> None:
    g = painters.Graph(channels=1)
    g.op("Mul", g.op("Expand", 0.7, g.op("Shape", "image")), "mask")  # black where pixels are known
    model = g.model(
        {"image": (TensorProto.FLOAT, [1, 3, *inner]), "mask": (TensorProto.FLOAT, [1, 1, *inner])},
        ("output", TensorProto.FLOAT, [1, 3, *inner]),
    )
    path = models.save(model, tmp_path / "painter.onnx")
    painter = load_inpainter(path, device="cpu", flags={"output_range": (0, 1)})
    images, masks = photos(1, (24, 24)), np.zeros((1, 24, 24), np.float32)
    masks[:, 9 : 9 + height, 5:14] = 1
    got = painter.inpaint(images, masks)
    np.testing.assert_allclose(got[masks > 0], 0.7, atol=1e-6)
    np.testing.assert_array_equal(got[masks == 0], images[masks == 0])


def test_input_is_not_written_to(tmp_path: Path) -> None:
    images, masks = photos(2, (16, 12)), make_holes(2, (16, 12))
    before = images.copy(), masks.copy()
    load(tmp_path, "half").inpaint(images, masks)
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(masks, before[1])


@pytest.mark.parametrize(("kind", "says"), [("nan", "NaN or infinite"), ("shape", "no inpainter")])
def test_faulty_inpainters_are_refused(tmp_path: Path, kind: str, says: str) -> None:
    with pytest.raises(InpainterError, match=says):
        load(tmp_path, kind).inpaint(photos(1, (16, 12)), make_holes(1, (16, 12)))


def test_a_classifier_is_no_inpainter(tmp_path: Path) -> None:
    path = models.save(models.convnet(), tmp_path / "net.onnx")
    with pytest.raises(InpainterError, match=r"no inpainter.*'scores' float32 \(\?, 5\)"):
        load_inpainter(path, device="cpu")


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        (make_holes(1, (16, 12)), r"images are \(2, 16, 12, 3\), masks \(1, 16, 12\)"),
        (make_holes(2, (12, 16)), r"masks \(2, 12, 16\); resize the masks by nearest"),
        (
            make_holes(2, (16, 12)) * 0.25,
            r"masks of 0 and 1, where 1 is a hole, got 0.25; .* >= 0.5",
        ),
        (make_holes(2, (16, 12)) * 255, "got 255"),
        (make_holes(2, (16, 12)) * np.float32(np.nan), "got nan"),
    ],
)
def test_masks_of_another_size_or_not_binary_are_refused(
    tmp_path: Path, masks: Any, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        load(tmp_path, "half").inpaint(photos(2, (16, 12)), masks)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (
            np.zeros((2, 16, 12, 3), np.uint8),
            r"float32 in \[0, 1\], got uint8; divide bytes by 255",
        ),
        (np.full((2, 16, 12, 3), 255, np.float32), r"in \[0, 1\], got 255 to 255; divide bytes"),
        (np.full((2, 16, 12, 3), np.nan, np.float32), r"in \[0, 1\], got nan"),
        (np.zeros((16, 12, 3), np.float32), r"images \(N, H, W, 3\), got \(16, 12, 3\)"),
    ],
)
def test_images_on_another_scale_are_refused(tmp_path: Path, images: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        load(tmp_path, "half").inpaint(images, make_holes(2, (16, 12)))


def test_when_memory_runs_out_fewer_images_go_in_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter, images, masks = load(tmp_path, "mean"), photos(5, (16, 12)), make_holes(5, (16, 12))
    whole, run = painter.inpaint(images, masks), Session.run

    def run_short_of_memory(session: Session, feeds: Any, outputs: Any) -> Any:
        if len(feeds["image"]) > room:
            raise OutOfMemory("out of memory")
        return run(session, feeds, outputs)

    monkeypatch.setattr(Session, "run", run_short_of_memory)
    room = 2
    np.testing.assert_allclose(painter.inpaint(images, masks), whole, atol=1e-6)
    assert painter.batch_size == 2
    room = 0
    with pytest.raises(OutOfMemory, match="a batch of 1 is the smallest"):
        painter.inpaint(images, masks)


def test_an_image_without_a_hole_is_returned_and_one_without_a_known_pixel_is_painted(
    tmp_path: Path,
) -> None:
    images, masks = photos(3, (16, 12)), make_holes(3, (16, 12))
    masks[0], masks[2] = 0, 1
    got = load(tmp_path, "half").inpaint(images, masks)
    np.testing.assert_array_equal(got[0], images[0])
    np.testing.assert_array_equal(got[2], np.full_like(images[2], 0.5))
    np.testing.assert_array_equal(
        load(tmp_path, "half").inpaint(images, np.zeros_like(masks)), images
    )


def test_a_real_inpainter_beats_the_mean_colour_on_a_photo() -> None:
    painter = load_inpainter(shared("models/ffc-unet-128.onnx"), device="cpu")
    photo = min(shared("data/eval/images").iterdir())
    image = resize(read_image(photo), (160, 160), antialias=True)
    mask = np.zeros((1, 160, 160), np.float32)
    mask[0, 60:100, 50:90] = 1
    filled = painter.inpaint(image[None], mask)[0]
    hole = mask[0] > 0
    mean = image[~hole].mean(axis=0)
    assert np.abs(filled - image)[hole].mean() < np.abs(mean - image)[hole].mean()
    np.testing.assert_array_equal(filled[~hole], image[~hole])


def make_painter_with_mask(dims: list[Any]) -> ModelProto:
    g = painters.Graph(channels=1)
    g.op("Add", "image", g.op("Mul", 0.0, g.op("ReduceMax", "mask", keepdims=0)))
    image = ["N", 3, "H", "W"]
    return g.model(
        {"image": (TensorProto.FLOAT, image), "mask": (TensorProto.FLOAT, dims)},
        ("output", TensorProto.FLOAT, image),
    )


@pytest.mark.parametrize("multiple", [1, 16])
def test_a_toml_file_beside_the_model_describes_it(tmp_path: Path, multiple: int) -> None:
    model = painters.lama(("H", "W"), batch="N", scale=1.0)
    (tmp_path / "painter.toml").write_text(
        f'[inpainter]\npreset = "lama"\noutput_range = [0, 1]\nmultiple = {multiple}\n'
    )
    spec = load_painter(model, tmp_path).spec
    assert (spec.output_range, spec.sources["output_range"]) == ((0.0, 1.0), "painter.toml")
    assert (spec.hole, spec.sources["hole"]) == (1.0, "preset lama (painter.toml)")
    assert spec.multiple == multiple
    spec = load_painter(model, tmp_path, multiple=4).spec
    assert spec.sources["multiple"] == "flag --inpainter-multiple"


CONTRADICTIONS: dict[str, tuple[ModelProto, dict[str, Any], str]] = {
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
    "no mask, not blank": (
        painters.copying(),
        {"pack": "image", "premultiply": False},
        r"says premultiply = false, but a graph that takes no mask.*write premultiply = true",
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
        make_painter_with_mask(["H"]),
        {},
        r"its mask input would be \(N, rows, columns\).*'mask' float32 \(\?\); put a Reshape",
    ),
    "mask of other axes": (
        make_painter_with_mask(["N", "H", "W", 1]),
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
def test_a_contradiction_says_what_was_described_what_was_seen_and_what_to_write(
    tmp_path: Path, case: str
) -> None:
    check_contradiction(*CONTRADICTIONS[case], tmp_path)


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
def test_an_unreadable_description_is_an_error(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "painter.toml").write_text(text)
    with pytest.raises(InpainterError, match=says):
        load_painter(painters.plain(), tmp_path)


def test_the_output_is_chosen_by_name_or_index(tmp_path: Path) -> None:
    model, flags = painters.deepfill_torch(), {"preset": "deepfill-v1-torch"}
    assert load_painter(model, tmp_path, **flags).spec.output == "fine"
    coarse, _, _ = (output.name for output in model.graph.output)
    assert load_painter(model, tmp_path, **flags, output=0).spec.output == coarse
    assert load_painter(model, tmp_path, **flags, output="fine").spec.output == "fine"
    with pytest.raises(InpainterError, match="several outputs may be the painted image"):
        load_painter(model, tmp_path, output_range=(-1, 1))


def test_metadata_of_the_model_describe_it(tmp_path: Path) -> None:
    model = painters.migan_generator()
    text = '{"preset": "migan-generator", "multiple": 2}'
    onnx.helper.set_model_props(model, {"onnxplain.inpainter": text})
    spec = load_painter(model, tmp_path).spec
    assert (spec.multiple, spec.sources["multiple"]) == (2, "ONNX metadata")
    assert spec.sources["hole"] == "preset migan-generator (ONNX metadata)"
    onnx.helper.set_model_props(model, {"onnxplain.inpainter": "{"})
    with pytest.raises(InpainterError, match="is no JSON"):
        load_painter(model, tmp_path)


def test_results_of_checks_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = painters.plain(hole=(0.0, 1.0), multiple=8)
    first = load_painter(model, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("onnxplain.runtime.inpainters.model.examine", None)  # must not be called
        again = load_painter(model, tmp_path)
    assert again.record() == first.record()
    described = load_painter(model, tmp_path, hole=0)  # another description is checked anew
    assert described.spec.sources["hole"] == "flag --inpainter-hole"


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("ffc-unet-128.onnx", {}),
        ("ffc-unet-128-dft.onnx", {"pack": "image", "output_range": (0, 1)}),
    ],
)
def test_real_exports_paint_the_same(name: str, flags: dict[str, Any]) -> None:
    """Both exports of one network: known pixels restored in the graph, or here."""
    photo = resize(
        read_image(min(shared("data/eval/images").iterdir())), (128, 128), antialias=True
    )
    masks = make_rectangles(1, (128, 128))
    reference = load_inpainter(shared("models/ffc-unet-128.onnx"), device="cpu")
    painter = load_inpainter(shared(f"models/{name}"), device="cpu", flags=flags)
    got = painter.inpaint(photo[None], masks)
    np.testing.assert_allclose(got, reference.inpaint(photo[None], masks), atol=1e-4)
    hole = masks[0] > 0
    assert np.abs(got[0] - photo)[hole].mean() < 0.2
