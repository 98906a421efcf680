"""Photos are read whole or refused by name, and pictures are written whole or not at all."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from onnxplain.core.errors import ImageError, OutputError
from onnxplain.image import (
    read_image,
    read_pillow,
    write_png,
)
from tests.helpers.pictures import make_noise, make_png_header


def test_files_that_are_no_photos_are_named_and_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("a photo, honestly" * 99)
    (tmp_path / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "flat.png").write_bytes(make_png_header(0, 5))
    reasons = {
        "missing.jpg": "no such file",
        "empty.jpg": "is empty",
        "text.jpg": "not an image",
        "drawing.eps": "not an image",
        "flat.png": "image",
        ".": "is a folder",
        "nul\0.jpg": "cannot be opened",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError, match=reason) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp", "gif"])
@pytest.mark.parametrize("kept", [0.03, 0.5, 0.9])
def test_truncated_photo_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"photo.{suffix}"
    PIL.Image.fromarray(make_noise(64, 64)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ImageError, match=rf"photo\.{suffix}"):
        read_image(path)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(make_png_header(9_000, 9_000))
    (tmp_path / "bomb.png").write_bytes(make_png_header(100_000, 100_000))
    for name, pixels in (("huge.png", "81000000"), ("bomb.png", "10000000000")):
        with pytest.raises(ImageError, match=rf"{pixels} pixels.*64000000.*--max-pixels"):
            read_image(tmp_path / name)


def test_pixel_limit_is_exact_and_can_be_raised(tmp_path: Path) -> None:
    PIL.Image.fromarray(make_noise(10, 10)).save(tmp_path / "photo.png")
    assert read_image(tmp_path / "photo.png", max_pixels=100).shape == (10, 10, 3)
    with pytest.raises(ImageError, match="--max-pixels"):
        read_image(tmp_path / "photo.png", max_pixels=99)


def test_reading_leaves_pillows_limit_as_it_was(tmp_path: Path) -> None:
    before = PIL.Image.MAX_IMAGE_PIXELS
    (tmp_path / "bomb.png").write_bytes(make_png_header(100_000, 100_000))
    with pytest.raises(ImageError):
        read_image(tmp_path / "bomb.png")
    assert before == PIL.Image.MAX_IMAGE_PIXELS


def test_compressed_text_bomb_is_refused(tmp_path: Path) -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + text))
    (tmp_path / "text.png").write_bytes(make_png_header(4, 4, extra=chunk))
    with pytest.raises(ImageError, match=r"text\.png"):
        read_image(tmp_path / "text.png")


def test_a_pillow_image_that_cannot_be_decoded_is_an_image_error(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(make_noise(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:6000])
    with PIL.Image.open(path) as photo:
        truncated = photo
        with pytest.raises(ImageError, match=r"image-3: cannot be read as .*: .*truncated"):
            read_pillow(photo, "image-3")
    with pytest.raises(ImageError, match="image-3: cannot be read"):
        read_pillow(truncated, "image-3")  # it is closed
    with pytest.raises(ImageError, match="image-3: cannot be read as an image: it has no pixels"):
        read_pillow(PIL.Image.new("RGB", (0, 4)), "image-3")


def test_written_png_reads_back_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", make_noise(3, 4))
    write_png(tmp_path / "a.png", make_noise(5, 6))
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / "a.png")), make_noise(5, 6))
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_png_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_png(tmp_path / "missing" / "a.png", make_noise(3, 4))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_png(tmp_path / "folder.png", make_noise(3, 4))
    assert [file.name for file in tmp_path.iterdir()] == ["folder.png"]
