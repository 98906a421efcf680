"""Photos of every mode and depth become upright RGB in [0, 1]."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import skimage.data

from onnxplain.core.errors import ImageError
from onnxplain.image import read_image, read_pillow
from tests.helpers.pictures import make_deep, make_noise


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "ppm"])
def test_lossless_files_give_their_pixels(tmp_path: Path, suffix: str) -> None:
    pixels = make_noise(5, 7)
    path = tmp_path / f"photo.{suffix}"
    PIL.Image.fromarray(pixels).save(path, **({"lossless": True} if suffix == "webp" else {}))
    image = read_image(path)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, pixels.astype(np.float32) / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_exif_orientation_is_undone_as_pillow_does(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    pixels, path = make_noise(4, 6), tmp_path / f"photo.{suffix}"
    exif = PIL.Image.Exif()
    exif[274] = orientation
    PIL.Image.fromarray(pixels).save(path, exif=exif)
    with PIL.Image.open(path) as stored:
        upright = np.asarray(PIL.ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(read_image(path), upright.astype(np.float32) / 255)
    assert read_image(path).shape[:2] == ((4, 6) if orientation < 5 else (6, 4))


def test_jpeg_taken_sideways_is_turned_clockwise(tmp_path: Path) -> None:
    pixels, path = np.zeros((16, 32, 3), np.uint8), tmp_path / "phone.jpg"
    pixels[:, :16] = 255  # the left half should end up on top
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.fromarray(pixels).save(path, exif=exif)
    image = read_image(path)
    assert image.shape == (32, 16, 3)
    assert image[:16].mean() > 0.98
    assert image[16:].mean() < 0.02


def test_broken_exif_does_not_spoil_a_photo(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    PIL.Image.fromarray(make_noise(8, 8)).save(path)
    whole, exif = path.read_bytes(), b"Exif\0\0MM\0*garbage"
    length = (len(exif) + 2).to_bytes(2, "big")
    path.write_bytes(whole[:2] + b"\xff\xe1" + length + exif + whole[2:])
    assert read_image(path).shape == (8, 8, 3)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_keep_their_precision(tmp_path: Path, suffix: str, channels: int) -> None:
    pixels, path = make_deep(6, 8, channels), tmp_path / f"deep.{suffix}"
    order = {1: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    assert cv2.imwrite(str(path), pixels if channels == 1 else pixels[..., order])
    values = np.atleast_3d(pixels.astype(np.float64) / 65535)
    expected = values[..., :3] if channels == 3 else np.repeat(values[..., :1], 3, axis=2)
    if channels == 4:
        expected = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    np.testing.assert_allclose(read_image(path), expected, atol=1e-6)


def test_16_bit_png_is_turned_upright_by_its_exif(tmp_path: Path) -> None:
    pixels, path = make_deep(4, 6, 3), tmp_path / "deep.png"
    assert cv2.imwrite(str(path), pixels[..., ::-1])
    exif = PIL.Image.Exif()
    exif[274] = 6
    data = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(data)) + b"eXIf" + data
    chunk += struct.pack(">I", zlib.crc32(b"eXIf" + data))
    whole = path.read_bytes()
    path.write_bytes(whole[:33] + chunk + whole[33:])
    turned = np.rot90(pixels, -1).astype(np.float64) / 65535
    np.testing.assert_allclose(read_image(path), turned, atol=1e-6)


def test_transparency_shows_white(tmp_path: Path) -> None:
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 0], pixels[0, :, 3] = 255, (0, 51, 255)  # red, of opacity 0, 0.2 and 1
    PIL.Image.fromarray(pixels).save(tmp_path / "rgba.png")
    expected = [[[1, 1, 1], [1, 0.8, 0.8], [1, 0, 0]]]
    np.testing.assert_allclose(read_image(tmp_path / "rgba.png"), expected, atol=1e-6)


def test_transparent_palette_entry_shows_white(tmp_path: Path) -> None:
    photo = PIL.Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    photo.putpalette([255, 0, 0, 0, 0, 255])
    photo.save(tmp_path / "palette.png", transparency=0)
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), [[[1, 1, 1], [0, 0, 1]]])


def test_palette_grey_and_one_bit_become_rgb(tmp_path: Path) -> None:
    grey = make_noise(4, 4, 1)[..., 0]
    PIL.Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_allclose(
        read_image(tmp_path / "grey.png"), np.dstack([grey] * 3) / 255, atol=1e-7
    )
    PIL.Image.fromarray(grey > 99).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png"), np.dstack([grey > 99] * 3))
    photo = PIL.Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    photo.putpalette([255, 0, 0, 0, 0, 255])
    photo.save(tmp_path / "palette.gif")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.gif"), [[[1, 0, 0], [0, 0, 1]]])


def test_cmyk_jpeg_has_the_colours_of_the_photo(tmp_path: Path) -> None:
    photo = PIL.Image.fromarray(skimage.data.coffee()[:64, :64])
    photo.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=98)
    difference = read_image(tmp_path / "cmyk.jpg") - np.asarray(photo) / 255
    assert np.abs(difference).mean() < 0.02  # the loss of JPEG; swapped or inverted inks give 0.3


def test_float_tiff_keeps_its_values_and_is_refused_out_of_range(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    PIL.Image.fromarray(values).save(tmp_path / "float.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "float.tif")[..., 1], values)
    PIL.Image.fromarray(values * 7).save(tmp_path / "float.tif")
    with pytest.raises(ImageError, match=r"float\.tif.*8 or 16 bits"):
        read_image(tmp_path / "float.tif")


def test_whole_numbers_without_a_known_white_are_refused(tmp_path: Path) -> None:
    photo = PIL.Image.fromarray(make_noise(3, 4, 1)[..., 0].astype(np.int32))
    photo.save(tmp_path / "wide.tif")
    with pytest.raises(ImageError, match=r"wide\.tif.*whole numbers of 32 bits.*8 or 16 bits"):
        read_image(tmp_path / "wide.tif")
    with pytest.raises(ImageError, match=r"image-0.*whole numbers of 32 bits"):
        read_pillow(photo, "image-0")


def test_16_bit_pgm_is_read_although_pillow_gives_it_32_bits(tmp_path: Path) -> None:
    pixels = make_deep(3, 4, 1)
    (tmp_path / "deep.pgm").write_bytes(b"P5 4 3 65535\n" + pixels.astype(">u2").tobytes())
    with PIL.Image.open(tmp_path / "deep.pgm") as photo:
        assert photo.mode == "I"
    np.testing.assert_allclose(read_image(tmp_path / "deep.pgm")[..., 0], pixels / 65535, atol=1e-6)


def test_12_bit_tiff_keeps_its_brightness(tmp_path: Path) -> None:
    entries = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 128, 277: 1, 278: 1, 279: 6}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    header = b"II*\0" + struct.pack("<IH", 8, len(entries)) + tags
    (tmp_path / "scan.tif").write_bytes(header.ljust(128, b"\0") + bytes.fromhex("fff000800fff"))
    expected = np.array([0xFFF, 0, 0x800, 0xFFF]) / 4095
    np.testing.assert_allclose(read_image(tmp_path / "scan.tif")[0, :, 0], expected, atol=1e-6)


def save_peculiar_photos(folder: Path) -> dict[str, PIL.Image.Image]:
    """Save photos that Pillow alone converts to wrong RGB; return them by file name."""
    exif = PIL.Image.Exif()
    exif[274] = 6
    rgb = PIL.Image.fromarray(make_noise(4, 6))
    indexed = rgb.convert("P")
    photos: dict[str, tuple[PIL.Image.Image, dict[str, object]]] = {
        "turned.jpg": (rgb, {"exif": exif}),
        "turned.png": (rgb, {"exif": exif}),
        "turned.tif": (rgb, {"exif": exif}),
        "squeezed.tif": (rgb, {"exif": exif, "compression": "tiff_lzw"}),
        "grey16.png": (PIL.Image.fromarray(make_deep(4, 6, 1)), {}),
        "grey16.tif": (PIL.Image.fromarray(make_deep(4, 6, 1)), {}),
        "alpha.png": (PIL.Image.fromarray(make_noise(4, 6, 4)), {}),
        "alpha.webp": (PIL.Image.fromarray(make_noise(4, 6, 4)), {"lossless": True}),
        "palette.png": (indexed, {"transparency": 0}),
        "ink.tif": (rgb.convert("CMYK"), {}),
    }
    for name, (photo, options) in photos.items():
        photo.save(folder / name, **options)
    return {name: PIL.Image.open(folder / name) for name in photos}


def test_a_pillow_image_is_read_like_its_file(tmp_path: Path) -> None:
    for name, photo in save_peculiar_photos(tmp_path).items():
        expected = read_image(tmp_path / name)
        for _ in range(2):  # the second time it is decoded already
            np.testing.assert_array_equal(read_pillow(photo, "image-0"), expected, name)
        np.testing.assert_array_equal(read_pillow(photo.copy(), "image-0"), expected, name)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_pillow_image_keeps_16_bits_however_often_it_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    assert cv2.imwrite(str(path), make_deep(6, 8, 3))
    with PIL.Image.open(path) as photo:
        for _ in range(2):
            np.testing.assert_array_equal(read_pillow(photo, "image-0"), read_image(path))
        photo.load()  # Pillow keeps 8 bits, cut off
        np.testing.assert_allclose(read_pillow(photo, "image-0"), read_image(path), atol=1 / 255)


def test_the_current_frame_of_a_pillow_image_is_read(tmp_path: Path) -> None:
    path = tmp_path / "frames.tif"
    assert cv2.imwritemulti(str(path), [np.zeros((4, 6, 3), np.uint16), make_deep(4, 6, 3)])
    with PIL.Image.open(path) as photo:
        photo.seek(1)
        image = read_pillow(photo, "image-0")
    np.testing.assert_allclose(image, make_deep(4, 6, 3)[..., ::-1] / 65535, atol=1 / 255)


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 3)], ids=["grey", "colour"])
def test_sixteen_bits_that_use_fewer_are_warned_of_and_scaled_by_white(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, shape: tuple[int, ...]
) -> None:
    values = np.random.default_rng(0).integers(0, 4096, shape).astype(np.uint16)
    values.flat[0] = 4095
    path = tmp_path / "scan.png"
    cv2.imwrite(str(path), values)
    shown = values[..., ::-1] if len(shape) == 3 else np.dstack([values] * 3)
    np.testing.assert_allclose(read_image(path), shown / 65535, atol=1e-7)
    assert f"{path}: its 16-bit values end at 4095, as if 4095 were white" in caplog.text
    caplog.clear()
    np.testing.assert_allclose(read_image(path, white=4095), shown / 4095, atol=1e-7)
    np.testing.assert_allclose(read_image(path, white=65535), shown / 65535, atol=1e-7)
    assert caplog.text == ""
    with pytest.raises(ImageError, match=r"values lie in .*4095.* but white is 1023"):
        read_image(path, white=1023)


def test_black_sixteen_bits_are_black_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((3, 4), np.uint16))
    assert not read_image(tmp_path / "black.png").any()
    assert caplog.text == ""
