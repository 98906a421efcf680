"""Reading, writing, resizing and framing photos."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import scipy.ndimage
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnxplain.core.data import Box, Fit
from onnxplain.core.errors import ImageError, OutputError
from onnxplain.image import (
    box_blur,
    gaussian_blur,
    inpaint_classical,
    place_frame,
    read_image,
    read_pillow,
    resize,
    write_png,
)


def noise(rows: int, columns: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, channels), np.uint8)


def deep(rows: int, columns: int, channels: int) -> NDArray[np.uint16]:
    drawn = np.random.default_rng(1).integers(0, 65536, (rows, columns, channels), np.uint16)
    return drawn[..., 0] if channels == 1 else drawn


def png(width: int, height: int, colour: int = 2, extra: bytes = b"") -> bytes:
    """A PNG's header and no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


# ---- reading -------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "ppm"])
def test_lossless_files_give_their_pixels(tmp_path: Path, suffix: str) -> None:
    pixels = noise(5, 7)
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
    pixels, path = noise(4, 6), tmp_path / f"photo.{suffix}"
    exif = PIL.Image.Exif()
    exif[274] = orientation
    PIL.Image.fromarray(pixels).save(path, exif=exif)
    with PIL.Image.open(path) as stored:
        upright = np.asarray(PIL.ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(read_image(path), upright.astype(np.float32) / 255)
    assert read_image(path).shape[:2] == ((4, 6) if orientation < 5 else (6, 4))


def test_jpeg_taken_sideways_is_turned_clockwise(tmp_path: Path) -> None:
    pixels, path = np.zeros((16, 32, 3), np.uint8), tmp_path / "phone.jpg"
    pixels[:, :16] = 255  # the left half is what should end up on top
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.fromarray(pixels).save(path, exif=exif)
    image = read_image(path)
    assert image.shape == (32, 16, 3)
    assert image[:16].mean() > 0.98
    assert image[16:].mean() < 0.02


def test_broken_exif_does_not_spoil_a_photo(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    PIL.Image.fromarray(noise(8, 8)).save(path)
    whole, exif = path.read_bytes(), b"Exif\0\0MM\0*garbage"
    length = (len(exif) + 2).to_bytes(2, "big")
    path.write_bytes(whole[:2] + b"\xff\xe1" + length + exif + whole[2:])
    assert read_image(path).shape == (8, 8, 3)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_keep_their_precision(tmp_path: Path, suffix: str, channels: int) -> None:
    pixels, path = deep(6, 8, channels), tmp_path / f"deep.{suffix}"
    order = {1: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    assert cv2.imwrite(str(path), pixels if channels == 1 else pixels[..., order])
    values = np.atleast_3d(pixels.astype(np.float64) / 65535)
    expected = values[..., :3] if channels == 3 else np.repeat(values[..., :1], 3, axis=2)
    if channels == 4:
        expected = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    np.testing.assert_allclose(read_image(path), expected, atol=1e-6)


def test_16_bit_png_is_turned_by_its_exif(tmp_path: Path) -> None:
    pixels, path = deep(4, 6, 3), tmp_path / "deep.png"
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
    grey = noise(4, 4, 1)[..., 0]
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
    assert np.abs(difference).mean() < 0.02  # JPEG's own loss; swapped or inverted inks give 0.3


def test_float_tiff_is_taken_as_it_is_and_refused_out_of_range(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    PIL.Image.fromarray(values).save(tmp_path / "float.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "float.tif")[..., 1], values)
    PIL.Image.fromarray(values * 7).save(tmp_path / "float.tif")
    with pytest.raises(ImageError, match=r"float\.tif.*8 or 16 bits"):
        read_image(tmp_path / "float.tif")


def test_whole_numbers_of_which_nobody_says_what_white_is_are_refused(tmp_path: Path) -> None:
    photo = PIL.Image.fromarray(noise(3, 4, 1)[..., 0].astype(np.int32))
    photo.save(tmp_path / "wide.tif")
    with pytest.raises(ImageError, match=r"wide\.tif.*whole numbers of 32 bits.*8 or 16 bits"):
        read_image(tmp_path / "wide.tif")
    with pytest.raises(ImageError, match=r"image-0.*whole numbers of 32 bits"):
        read_pillow(photo, "image-0")


def test_16_bit_pgm_is_read_though_pillow_gives_it_32(tmp_path: Path) -> None:
    pixels = deep(3, 4, 1)
    (tmp_path / "deep.pgm").write_bytes(b"P5 4 3 65535\n" + pixels.astype(">u2").tobytes())
    with PIL.Image.open(tmp_path / "deep.pgm") as photo:
        assert photo.mode == "I"
    np.testing.assert_allclose(read_image(tmp_path / "deep.pgm")[..., 0], pixels / 65535, atol=1e-6)


def test_12_bit_tiff_is_as_bright_as_it_was(tmp_path: Path) -> None:
    entries = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 128, 277: 1, 278: 1, 279: 6}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    header = b"II*\0" + struct.pack("<IH", 8, len(entries)) + tags
    (tmp_path / "scan.tif").write_bytes(header.ljust(128, b"\0") + bytes.fromhex("fff000800fff"))
    expected = np.array([0xFFF, 0, 0x800, 0xFFF]) / 4095
    np.testing.assert_allclose(read_image(tmp_path / "scan.tif")[0, :, 0], expected, atol=1e-6)


def test_files_that_are_no_photos_are_named_and_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("a photo, honestly" * 99)
    (tmp_path / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "flat.png").write_bytes(png(0, 5))
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
    PIL.Image.fromarray(noise(64, 64)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ImageError, match=rf"photo\.{suffix}"):
        read_image(path)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(png(9_000, 9_000))
    (tmp_path / "bomb.png").write_bytes(png(100_000, 100_000))
    for name, pixels in (("huge.png", "81000000"), ("bomb.png", "10000000000")):
        with pytest.raises(ImageError, match=rf"{pixels} pixels.*64000000.*--max-pixels"):
            read_image(tmp_path / name)


def test_pixel_limit_is_exact_and_can_be_raised(tmp_path: Path) -> None:
    PIL.Image.fromarray(noise(10, 10)).save(tmp_path / "photo.png")
    assert read_image(tmp_path / "photo.png", max_pixels=100).shape == (10, 10, 3)
    with pytest.raises(ImageError, match="--max-pixels"):
        read_image(tmp_path / "photo.png", max_pixels=99)


def test_reading_leaves_pillows_limit_as_it_was(tmp_path: Path) -> None:
    before = PIL.Image.MAX_IMAGE_PIXELS
    (tmp_path / "bomb.png").write_bytes(png(100_000, 100_000))
    with pytest.raises(ImageError):
        read_image(tmp_path / "bomb.png")
    assert before == PIL.Image.MAX_IMAGE_PIXELS


def test_compressed_text_bomb_is_refused(tmp_path: Path) -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + text))
    (tmp_path / "text.png").write_bytes(png(4, 4, extra=chunk))
    with pytest.raises(ImageError, match=r"text\.png"):
        read_image(tmp_path / "text.png")


def _peculiar(folder: Path) -> dict[str, PIL.Image.Image]:
    """Photos of which Pillow's own RGB is not what the eye sees, by the names of their files."""
    exif = PIL.Image.Exif()
    exif[274] = 6
    rgb = PIL.Image.fromarray(noise(4, 6))
    indexed = rgb.convert("P")
    made: dict[str, tuple[PIL.Image.Image, dict[str, object]]] = {
        "turned.jpg": (rgb, {"exif": exif}),
        "turned.png": (rgb, {"exif": exif}),
        "turned.tif": (rgb, {"exif": exif}),
        "squeezed.tif": (rgb, {"exif": exif, "compression": "tiff_lzw"}),
        "grey16.png": (PIL.Image.fromarray(deep(4, 6, 1)), {}),
        "grey16.tif": (PIL.Image.fromarray(deep(4, 6, 1)), {}),
        "alpha.png": (PIL.Image.fromarray(noise(4, 6, 4)), {}),
        "alpha.webp": (PIL.Image.fromarray(noise(4, 6, 4)), {"lossless": True}),
        "palette.png": (indexed, {"transparency": 0}),
        "ink.tif": (rgb.convert("CMYK"), {}),
    }
    for name, (photo, options) in made.items():
        photo.save(folder / name, **options)
    return {name: PIL.Image.open(folder / name) for name in made}


def test_a_pillow_image_is_read_as_its_file(tmp_path: Path) -> None:
    for name, photo in _peculiar(tmp_path).items():
        expected = read_image(tmp_path / name)
        for _ in range(2):  # the second time it is decoded already
            np.testing.assert_array_equal(read_pillow(photo, "image-0"), expected, name)
        np.testing.assert_array_equal(read_pillow(photo.copy(), "image-0"), expected, name)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_pillow_image_keeps_16_bits_however_often_it_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    assert cv2.imwrite(str(path), deep(6, 8, 3))
    with PIL.Image.open(path) as photo:
        for _ in range(2):
            np.testing.assert_array_equal(read_pillow(photo, "image-0"), read_image(path))
        photo.load()  # Pillow keeps 8 bits, cut off
        np.testing.assert_allclose(read_pillow(photo, "image-0"), read_image(path), atol=1 / 255)


def test_a_later_frame_that_somebody_chose_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "frames.tif"
    assert cv2.imwritemulti(str(path), [np.zeros((4, 6, 3), np.uint16), deep(4, 6, 3)])
    with PIL.Image.open(path) as photo:
        photo.seek(1)
        found = read_pillow(photo, "image-0")
    np.testing.assert_allclose(found, deep(4, 6, 3)[..., ::-1] / 65535, atol=1 / 255)


def test_a_pillow_image_that_cannot_be_decoded_is_an_image_error(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(noise(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:6000])
    with PIL.Image.open(path) as photo:
        truncated = photo
        with pytest.raises(ImageError, match=r"image-3: cannot be read as .*: .*truncated"):
            read_pillow(photo, "image-3")
    with pytest.raises(ImageError, match="image-3: cannot be read"):
        read_pillow(truncated, "image-3")  # it is closed
    with pytest.raises(ImageError, match="image-3: cannot be read as an image: it has no pixels"):
        read_pillow(PIL.Image.new("RGB", (0, 4)), "image-3")


# ---- writing -------------------------------------------------------------------------


def test_written_png_reads_back_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise(3, 4))
    write_png(tmp_path / "a.png", noise(5, 6))
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / "a.png")), noise(5, 6))
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_png_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_png(tmp_path / "missing" / "a.png", noise(3, 4))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_png(tmp_path / "folder.png", noise(3, 4))
    assert [file.name for file in tmp_path.iterdir()] == ["folder.png"]


# ---- resizing ------------------------------------------------------------------------


def bilinear(array: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Half-pixel centres, clamped at the border, one pixel at a time."""
    out = np.empty(size)
    for row, column in np.ndindex(*size):
        y = np.clip((row + 0.5) * array.shape[0] / size[0] - 0.5, 0, array.shape[0] - 1)
        x = np.clip((column + 0.5) * array.shape[1] / size[1] - 0.5, 0, array.shape[1] - 1)
        top, left = int(y), int(x)
        low, right = min(top + 1, array.shape[0] - 1), min(left + 1, array.shape[1] - 1)
        above = array[top, left] * (1 - x + left) + array[top, right] * (x - left)
        below = array[low, left] * (1 - x + left) + array[low, right] * (x - left)
        out[row, column] = above * (1 - y + top) + below * (y - top)
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
@settings(max_examples=60, deadline=None)
def test_bilinear_has_half_pixel_centres(
    dtype: type[np.floating], shape: tuple[int, int], size: tuple[int, int]
) -> None:
    array = np.random.default_rng(2).random(shape).astype(dtype)
    resized = resize(array, size)
    assert resized.dtype == dtype
    # OpenCV keeps the weights in float32, also for float64.
    np.testing.assert_allclose(resized, bilinear(array.astype(np.float64), size), atol=3e-6)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
@pytest.mark.parametrize("antialias", [False, True])
def test_resize_keeps_the_axes(shape: tuple[int, ...], antialias: bool) -> None:
    array = np.zeros(shape, np.float32)
    assert resize(array, (3, 9), antialias=antialias).shape == (3, 9, *shape[2:])


@pytest.mark.parametrize(
    ("interpolation", "resampling", "levels"),
    [
        ("bilinear", PIL.Image.Resampling.BILINEAR, 1.3),
        ("bicubic", PIL.Image.Resampling.BICUBIC, 4),  # it cuts what overshoots after each pass
        ("area", PIL.Image.Resampling.BOX, 1.3),
        ("nearest", PIL.Image.Resampling.NEAREST, 0),
    ],
)
def test_antialiased_resize_is_pillows_on_8_bit_photos(
    interpolation: str, resampling: PIL.Image.Resampling, levels: float
) -> None:
    photo = skimage.data.coffee()
    pillow = np.asarray(PIL.Image.fromarray(photo).resize((180, 120), resampling)) / 255.0
    ours = resize(photo.astype(np.float32) / 255, (120, 180), interpolation, antialias=True)  # type: ignore[arg-type]
    # Pillow rounds to 8 bits after each of its two passes.
    np.testing.assert_allclose(np.clip(ours, 0, 1), pillow, atol=levels / 255 + 1e-6)


def test_nearest_takes_the_pixel_at_the_centre() -> None:
    array = np.arange(5, dtype=np.float32)[None]
    np.testing.assert_array_equal(resize(array, (1, 3), "nearest"), [[0, 2, 4]])


def test_area_is_the_mean_of_whole_blocks() -> None:
    array = np.random.default_rng(3).random((6, 8)).astype(np.float32)
    blocks = array.reshape(3, 2, 2, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(array, (3, 2), "area"), blocks, rtol=1e-6)


# ---- frames --------------------------------------------------------------------------

sizes = st.tuples(st.integers(8, 120), st.integers(8, 120))
fits = st.sampled_from(["crop", "stretch", "pad"])
crops = st.floats(0.3, 1.0)


def test_crop_equals_resize_then_centre_crop() -> None:
    photo = PIL.Image.fromarray(skimage.data.coffee())  # 400 x 600
    resized = photo.resize((384, 256), PIL.Image.Resampling.BILINEAR)
    cropped = np.asarray(resized.crop((80, 16, 304, 240))) / 255.0
    image = np.asarray(photo).astype(np.float32) / 255
    ours = place_frame((400, 600), (224, 224), "crop", 0.875).bring(image)
    np.testing.assert_allclose(ours, cropped, atol=1.3 / 255)


def test_stretch_equals_a_plain_resize() -> None:
    image = skimage.data.chelsea().astype(np.float32) / 255
    frame = place_frame((300, 451), (224, 192), "stretch")
    np.testing.assert_array_equal(frame.bring(image), resize(image, (224, 192), antialias=True))


def test_pad_keeps_the_aspect_between_black_borders() -> None:
    image = np.ones((300, 451, 3), np.float32)
    brought = place_frame((300, 451), (224, 224), "pad").bring(image)
    rows = np.flatnonzero(brought.any(axis=(1, 2)))
    assert (rows[0], rows[-1] + 1) == (37, 186)  # 149 of 224 rows, for 300 of 451
    np.testing.assert_allclose(brought[37:186], 1, atol=1e-6)


@given(original=sizes, size=sizes, fit=fits, crop=crops, data=st.data())
@settings(max_examples=60, deadline=None)
def test_boxes_go_with_the_pixels(
    original: tuple[int, int], size: tuple[int, int], fit: Fit, crop: float, data: st.DataObject
) -> None:
    frame = place_frame(original, size, fit, crop)
    top = data.draw(st.integers(0, original[0] - 1))
    left = data.draw(st.integers(0, original[1] - 1))
    bottom = data.draw(st.integers(top + 1, original[0]))
    right = data.draw(st.integers(left + 1, original[1]))
    image = np.zeros((*original, 3), np.float32)
    image[top:bottom, left:right] = 1
    seen, box = frame.bring(image)[..., 0], frame.box(Box(top, left, bottom, right))
    y, x = (np.arange(n) + 0.5 for n in size)
    depth = np.minimum.outer(
        np.minimum(y - box.top, box.bottom - y), np.minimum(x - box.left, box.right - x)
    )
    w = frame.window
    # How far a pixel of the photo reaches in the input: one of its own, or one of the input's.
    reach = max(size[0] / (w.bottom - w.top), size[1] / (w.right - w.left), 1) + 1e-6
    np.testing.assert_allclose(seen[depth > reach], 1, atol=1e-5)
    np.testing.assert_array_equal(seen[depth < -reach], 0)


@pytest.mark.parametrize(
    ("fit", "size"),
    [("crop", (64, 48)), ("stretch", (64, 48)), ("pad", (64, 48)), ("crop", (130, 200))],
)
def test_each_pixel_of_the_input_shows_the_place_its_box_says(
    fit: Fit, size: tuple[int, int]
) -> None:
    rows, columns = 120, 180
    places = np.mgrid[:rows, :columns] + 0.5
    image = np.dstack([places[0] / rows, places[1] / columns, np.ones((rows, columns))]).astype(
        np.float32
    )
    frame = place_frame((rows, columns), size, fit, 0.9)
    seen = frame.bring(image)
    for row, column in np.ndindex(*size):
        box = frame.box_back(Box(row, column, row + 1, column + 1))
        y, x = (box.top + box.bottom) / 2, (box.left + box.right) / 2
        if min(y, x, rows - y, columns - x) > 5:  # filters end at edges
            shown = seen[row, column, 0] * rows, seen[row, column, 1] * columns
            assert abs(shown[0] - y) < 0.2
            assert abs(shown[1] - x) < 0.2


@given(original=sizes, size=sizes, fit=fits, crop=crops)
@settings(max_examples=80, deadline=None)
def test_a_box_comes_back_as_the_part_that_was_seen(
    original: tuple[int, int], size: tuple[int, int], fit: Fit, crop: float
) -> None:
    frame = place_frame(original, size, fit, crop)
    whole = Box(0, 0, *original)
    seen = frame.box_back(Box(0, 0, *size))
    back = frame.box_back(frame.box(whole))
    for name in ("top", "left", "bottom", "right"):
        assert getattr(back, name) == pytest.approx(getattr(seen, name), abs=1e-9)
    if fit != "crop":
        assert seen.top == pytest.approx(0)
        assert seen.bottom == pytest.approx(original[0])


def test_a_box_outside_the_crop_loses_its_area() -> None:
    box = place_frame((100, 300), (50, 50)).box(Box(10, 0, 60, 90))
    assert (box.left, box.right) == (0, 0)


@given(original=sizes, size=sizes, fit=fits, crop=crops)
@settings(max_examples=80, deadline=None)
def test_a_ramp_of_places_comes_back_to_its_places(
    original: tuple[int, int], size: tuple[int, int], fit: Fit, crop: float
) -> None:
    # A map that holds, at every pixel, the row of the photo it looks at: brought back it must
    # hold the photo's own rows, except near the window's edge, where bilinear values flatten.
    frame = place_frame(original, size, fit, crop)
    step = (frame.window.bottom - frame.window.top) / size[0]
    rows = frame.window.top + (np.arange(size[0]) + 0.5) * step
    ramp = np.repeat(rows[:, None], size[1], axis=1).astype(np.float32)
    back = frame.back(ramp)
    centre = np.arange(original[0]) + 0.5
    edge = step + 1
    inner = (centre > frame.window.top + edge) & (centre < frame.window.bottom - edge)
    x = np.arange(original[1]) + 0.5
    seen = (x > frame.window.left + 1e-6) & (x < frame.window.right - 1e-6)
    expected = np.repeat(centre[inner, None], seen.sum(), axis=1)
    np.testing.assert_allclose(back[inner][:, seen], expected, atol=0.3 if step < 1 else 1e-3)


@given(original=sizes, size=sizes, fit=fits, crop=crops)
@settings(max_examples=60, deadline=None)
def test_back_is_constant_inside_the_window_and_0_outside(
    original: tuple[int, int], size: tuple[int, int], fit: Fit, crop: float
) -> None:
    frame = place_frame(original, size, fit, crop)
    back = frame.back(np.full(size, 3, np.float32))
    w = frame.window
    y, x = np.mgrid[: original[0], : original[1]] + 0.5
    inside = (y >= w.top) & (y <= w.bottom) & (x >= w.left) & (x <= w.right)
    sure = np.minimum(np.abs(y - w.top), np.abs(y - w.bottom)) > 1e-6
    sure &= np.minimum(np.abs(x - w.left), np.abs(x - w.right)) > 1e-6
    np.testing.assert_allclose(back[sure], np.where(inside, 3, 0)[sure], rtol=1e-5)


def test_back_equals_pillows_resize_of_the_map() -> None:
    heatmap = np.random.default_rng(4).random((32, 48)).astype(np.float32)
    for original in ((100, 90), (20, 30)):
        pillow = PIL.Image.fromarray(heatmap).resize(original[::-1], PIL.Image.Resampling.BILINEAR)
        back = place_frame(original, (32, 48), "stretch").back(heatmap)
        np.testing.assert_allclose(back, np.asarray(pillow), atol=1e-5)


def test_frames_refuse_other_sizes_and_crops() -> None:
    frame = place_frame((10, 20), (8, 8))
    with pytest.raises(ValueError, match=r"\(10, 20\).*\(20, 10\)"):
        frame.bring(np.zeros((20, 10, 3), np.float32))
    with pytest.raises(ValueError, match=r"\(8, 8\).*\(9, 8\)"):
        frame.back(np.zeros((9, 8), np.float32))
    with pytest.raises(ValueError, match="crop"):
        place_frame((10, 20), (8, 8), crop=0)


# ---- blur and inpainting -------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.7, 3.0, 10.0])
def test_gaussian_blur_equals_scipy(sigma: float) -> None:
    image = np.random.default_rng(5).random((60, 90, 3)).astype(np.float32)
    expected = scipy.ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0))
    np.testing.assert_allclose(gaussian_blur(image, sigma), expected, atol=1e-6)


@pytest.mark.parametrize("window", [1, 4, 15])
def test_box_blur_equals_scipy(window: int) -> None:
    image = np.random.default_rng(6).random((40, 30, 3)).astype(np.float32)
    expected = scipy.ndimage.uniform_filter(image.astype(np.float64), (window, window, 1))
    np.testing.assert_allclose(box_blur(image, window), expected, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["telea", "navier-stokes"])
def test_classical_inpainting_continues_a_ramp(algorithm: str) -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    image = np.repeat(np.tile(ramp, (64, 1))[..., None], 3, axis=2)
    hole = np.zeros((64, 64), bool)
    hole[28:36, 28:36] = True
    broken = np.where(hole[..., None], np.float32(0), image)
    filled = inpaint_classical(broken, hole, algorithm, 3.0)  # type: ignore[arg-type]
    assert np.abs(filled - image)[hole].mean() < 0.03  # left black, it would be 0.5
