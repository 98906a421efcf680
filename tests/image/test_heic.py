"""HEIC photos are read by pillow-heif, and whoever lacks it is told so."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from onnxplain.core.errors import ImageError, LibraryMissing
from onnxplain.image import read_image
from onnxplain.image.heic import is_heic

HEADER = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(108)


def write_photo(path: Path, *, orientation: int = 1) -> np.ndarray:
    heif = pytest.importorskip("pillow_heif")
    y, x = np.mgrid[0:48, 0:64] / 64
    pixels = np.rint(np.dstack([x, y, 1 - x]) * 255).astype(np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    file = heif.from_pillow(PIL.Image.fromarray(pixels))
    file.save(path, quality=95, exif=exif.tobytes())
    return pixels / 255


def test_pixels_are_those_of_the_photo(tmp_path: Path) -> None:
    pixels = write_photo(tmp_path / "photo.heic")
    difference = np.abs(read_image(tmp_path / "photo.heic") - pixels)
    assert difference.mean() < 0.02  # the loss of HEVC
    content = (tmp_path / "photo.heic").read_bytes()
    np.testing.assert_array_equal(read_image(content), read_image(tmp_path / "photo.heic"))


def test_too_many_pixels_and_cut_files_are_refused(tmp_path: Path) -> None:
    write_photo(tmp_path / "photo.heic")
    with pytest.raises(ImageError, match=r"photo\.heic.*3072 pixels.*exceeds the limit of 3071"):
        read_image(tmp_path / "photo.heic", max_pixels=3071)
    content = (tmp_path / "photo.heic").read_bytes()
    with pytest.raises(ImageError, match="cut: cannot be read as an image"):
        read_image(content[: len(content) // 2], name="cut")


def test_missing_library_is_named_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "photo.jpg").write_bytes(HEADER)  # whatever its name
    with pytest.raises(LibraryMissing, match=r"photo\.jpg: is a HEIC.*'onnxplain\[heic\]'"):
        read_image(tmp_path / "photo.jpg")


def test_avif_is_left_to_pillow() -> None:
    assert is_heic(HEADER)
    assert not is_heic(b"\0\0\0\x1cftypavif\0\0\0\0mif1avif")
    assert not is_heic(b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1miaf")
