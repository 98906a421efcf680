"""ONNX inpainters fill holes, and leave every other pixel as it was, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from onnxplain.core.errors import InpainterError
from onnxplain.image import read_image, resize
from onnxplain.runtime import OnnxInpainter, load_inpainter
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.session import Session
from tests.conftest import shared
from tests.helpers import models, painters
from tests.helpers.specs import photos


def made(tmp_path: Path, kind: str, size: Any = ("H", "W"), **flags: Any) -> OnnxInpainter:
    path = models.save(models.inpainter(kind, size), tmp_path / f"{kind}.onnx")
    return load_inpainter(path, device="cpu", flags=flags)


def holes(n: int, size: tuple[int, int], seed: int = 0) -> Any:
    masks = np.zeros((n, *size), np.float32)
    for k, (top, left) in enumerate(np.random.default_rng(seed).integers(0, 6, (n, 2))):
        masks[k, top : top + 6, left : left + 4] = 1
    return masks


@pytest.mark.parametrize("n", [1, 3, 11])
def test_holes_get_the_mean_of_the_known_pixels(tmp_path: Path, n: int) -> None:
    images, masks = photos(n, (16, 12)), holes(n, (16, 12))
    got = made(tmp_path, "mean").inpaint(images, masks)
    for image, mask, filled in zip(images, masks, got, strict=True):
        hole = mask.astype(bool)
        np.testing.assert_allclose(
            filled[hole], np.broadcast_to(image[~hole].mean(axis=0), filled[hole].shape), atol=1e-6
        )
        np.testing.assert_array_equal(filled[~hole], image[~hole])


@pytest.mark.parametrize("size", [("H", "W"), (16, 12), (10, 20)])
def test_known_pixels_stay_to_the_bit_even_if_the_graph_changes_them(
    tmp_path: Path, size: Any
) -> None:
    images, masks = photos(2, (16, 12)), holes(2, (16, 12))
    got = made(tmp_path, "dark", size, output_range=(0, 1)).inpaint(images, masks)
    known = masks == 0
    np.testing.assert_array_equal(got[known], images[known])
    assert (got[~known] <= 0.5 + 1e-6).all()


@pytest.mark.parametrize("inner", [(8, 6), (32, 40), (9, 17)])
def test_graph_of_one_size_never_sees_what_was_removed(
    tmp_path: Path, inner: tuple[int, int]
) -> None:
    # Known pixels are one grey, the hole is white: any leak makes the mean lighter.
    masks = holes(3, (16, 12))
    images = np.where(masks[..., None] > 0, 1, 0.25).astype(np.float32).repeat(3, axis=3)
    got = made(tmp_path, "mean", inner).inpaint(images, masks)
    np.testing.assert_allclose(got, np.full_like(images, 0.25), atol=1e-6)


@pytest.mark.parametrize("inner", [(32, 32), (8, 8), (8, 40)])
@pytest.mark.parametrize("height", [1, 6])
def test_what_the_graph_makes_of_known_pixels_is_not_mixed_into_the_hole(
    tmp_path: Path, inner: tuple[int, int], height: int
) -> None:
    g = painters.Graph(channels=1)
    g.op("Mul", g.op("Expand", 0.7, g.op("Shape", "image")), "mask")  # black where it is known
    made = g.model(
        {"image": (TensorProto.FLOAT, [1, 3, *inner]), "mask": (TensorProto.FLOAT, [1, 1, *inner])},
        ("output", TensorProto.FLOAT, [1, 3, *inner]),
    )
    path = models.save(made, tmp_path / "painter.onnx")
    painter = load_inpainter(path, device="cpu", flags={"output_range": (0, 1)})
    images, masks = photos(1, (24, 24)), np.zeros((1, 24, 24), np.float32)
    masks[:, 9 : 9 + height, 5:14] = 1
    got = painter.inpaint(images, masks)
    np.testing.assert_allclose(got[masks > 0], 0.7, atol=1e-6)
    np.testing.assert_array_equal(got[masks == 0], images[masks == 0])


def test_input_is_not_written_to(tmp_path: Path) -> None:
    images, masks = photos(2, (16, 12)), holes(2, (16, 12))
    before = images.copy(), masks.copy()
    made(tmp_path, "half").inpaint(images, masks)
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(masks, before[1])


@pytest.mark.parametrize(("kind", "says"), [("nan", "NaN or infinite"), ("shape", "no inpainter")])
def test_faulty_inpainters_are_refused(tmp_path: Path, kind: str, says: str) -> None:
    with pytest.raises(InpainterError, match=says):
        made(tmp_path, kind).inpaint(photos(1, (16, 12)), holes(1, (16, 12)))


def test_classifier_is_no_inpainter(tmp_path: Path) -> None:
    path = models.save(models.convnet(), tmp_path / "net.onnx")
    with pytest.raises(InpainterError, match=r"no inpainter.*'scores' float32 \(\?, 5\)"):
        load_inpainter(path, device="cpu")


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        (holes(1, (16, 12)), r"images are \(2, 16, 12, 3\), masks \(1, 16, 12\)"),
        (holes(2, (12, 16)), r"masks \(2, 12, 16\); resize the masks by nearest"),
        (holes(2, (16, 12)) * 0.25, r"masks of 0 and 1, where 1 is a hole, got 0.25; .* >= 0.5"),
        (holes(2, (16, 12)) * 255, "got 255"),
        (holes(2, (16, 12)) * np.float32(np.nan), "got nan"),
    ],
)
def test_masks_of_another_size_or_not_binary_are_refused(
    tmp_path: Path, masks: Any, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        made(tmp_path, "half").inpaint(photos(2, (16, 12)), masks)


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
        made(tmp_path, "half").inpaint(images, holes(2, (16, 12)))


def test_where_memory_ends_fewer_go_in_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter, images, masks = made(tmp_path, "mean"), photos(5, (16, 12)), holes(5, (16, 12))
    whole, run = painter.inpaint(images, masks), Session.run

    def short(session: Session, feeds: Any, outputs: Any) -> Any:
        if len(feeds["image"]) > room:
            raise OutOfMemory("out of memory")
        return run(session, feeds, outputs)

    monkeypatch.setattr(Session, "run", short)
    room = 2
    np.testing.assert_allclose(painter.inpaint(images, masks), whole, atol=1e-6)
    assert painter.batch_size == 2
    room = 0
    with pytest.raises(OutOfMemory, match="a batch of 1 is the smallest"):
        painter.inpaint(images, masks)


def test_without_a_hole_an_image_is_returned_and_without_a_known_pixel_all_is_painted(
    tmp_path: Path,
) -> None:
    images, masks = photos(3, (16, 12)), holes(3, (16, 12))
    masks[0], masks[2] = 0, 1
    got = made(tmp_path, "half").inpaint(images, masks)
    np.testing.assert_array_equal(got[0], images[0])
    np.testing.assert_array_equal(got[2], np.full_like(images[2], 0.5))
    np.testing.assert_array_equal(
        made(tmp_path, "half").inpaint(images, np.zeros_like(masks)), images
    )


def test_real_inpainter_beats_the_mean_colour_on_a_photo() -> None:
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
