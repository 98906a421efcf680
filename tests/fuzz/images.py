"""Image files: damaged ones, and the same pixels written in another way."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.PngImagePlugin

from onnxplain.core.errors import ImageError
from onnxplain.image.photo_files import read_image
from tests.fuzz.mutations import WHOLE, check_refusal, mutate_bytes, pick

Rng = np.random.Generator

MODES = ("L", "RGB", "RGBA", "LA", "P", "1", "I;16", "CMYK")
LOSSLESS = {
    "PNG": ("L", "RGB", "RGBA", "LA", "P", "1", "I;16"),
    "TIFF": ("L", "RGB", "RGBA", "LA", "P", "1", "I;16", "CMYK"),
    "BMP": ("L", "RGB", "P", "1"),
    "WEBP": ("RGB", "RGBA"),
    "PPM": ("L", "RGB", "1"),
    "GIF": ("L", "P"),
}
LOSSY = {"JPEG": ("L", "RGB", "CMYK"), "JPEG2000": ("L", "RGB", "RGBA"), "WEBP": ("RGB", "RGBA")}


def try_case(rng: Rng, folder: Path) -> str:
    photo = draw_photo(rng)
    if rng.random() < 0.3:
        return _try_other_writing(rng, folder, photo)
    forms = LOSSLESS | LOSSY
    form = pick(rng, [name for name, modes in forms.items() if photo.mode in modes] or ["TIFF"])
    data = _write(photo, form)
    changed = _damage_chunks(rng, data) if form == "PNG" and rng.random() < 0.5 else data
    if changed is data or rng.random() < 0.3:
        changed = mutate_bytes(rng, changed)
    path = folder / f"photo.{pick(rng, ('png', 'jpg', 'tif', 'webp', 'gif'))}"
    path.write_bytes(changed)
    try:
        image = read_image(path, max_pixels=4_000_000)
    except ImageError as error:
        return check_refusal(error, path.name)
    _check_image(image)
    return "right"


def draw_photo(rng: Rng) -> PIL.Image.Image:
    """Draw a small picture of any mode: noise, or a few plain areas."""
    rows, columns = rng.integers(1, 40, 2)
    mode = pick(rng, MODES)
    if mode == "I;16":
        return PIL.Image.fromarray(rng.integers(0, 2**16, (rows, columns), np.uint16))
    pixels = rng.integers(0, 256, (rows, columns, 4), np.uint8)
    if rng.random() < 0.5:
        pixels = pixels // 128 * 255
    picture = PIL.Image.fromarray(pixels, "RGBA" if mode in ("RGBA", "LA") else "CMYK")
    if mode in ("RGBA", "CMYK"):
        return picture
    return picture.convert("RGB").convert(mode) if mode in ("P", "1") else picture.convert(mode)


def _write(photo: PIL.Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    photo.save(file, form, **options)
    return file.getvalue()


def _try_other_writing(rng: Rng, folder: Path, photo: PIL.Image.Image) -> str:
    """Write the pixels without loss in two ways; they are read as the same image."""
    forms = [form for form, modes in LOSSLESS.items() if photo.mode in modes]
    wanted = read_image(_save(photo, folder / "plain.tif", "TIFF"))
    form = pick(rng, forms)
    options: dict[str, Any] = {}
    if form == "PNG":
        text = PIL.PngImagePlugin.PngInfo()
        text.add_text("Comment", "x" * int(rng.integers(1, 2000)), zip=bool(rng.integers(2)))
        options = {"compress_level": int(rng.integers(10)), "pnginfo": text}
        options["optimize"] = bool(rng.integers(2))
    elif form == "TIFF" and photo.mode != "1":
        options = {"compression": pick(rng, (None, "tiff_lzw", "tiff_deflate", "packbits"))}
    elif form == "WEBP":
        options = {"lossless": True, "exact": True}
    image = read_image(_save(photo, folder / "other.img", form, **options))
    _check_image(image)
    assert np.array_equal(image, wanted), (photo.mode, form, options)
    return "right"


def _save(photo: PIL.Image.Image, path: Path, form: str, **options: Any) -> Path:
    path.write_bytes(_write(photo, form, **options))
    return path


def _check_image(image: Any) -> None:
    assert image.dtype == np.float32
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.size
    assert image.min() >= 0
    assert image.max() <= 1


def _damage_chunks(rng: Rng, data: bytes) -> bytes:
    """Change the content of chunks of a PNG and put right their length and checksum."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    index = int(rng.integers(len(chunks)))
    name, content = chunks[index]
    match int(rng.integers(5)):
        case 0:
            content = mutate_bytes(rng, content)
        case 1:
            chunks.insert(index, (name, content))
        case 2:
            name = pick(rng, (b"IDAT", b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"zTXt", b"acTL"))
        case 3 if chunks[0][0] == b"IHDR":
            index, name = 0, b"IHDR"
            sides = [pick(rng, WHOLE) % 2**32 for _ in range(2)]
            content = struct.pack(">II", *sides) + chunks[0][1][8:]
        case _:
            content = zlib.compress(mutate_bytes(rng, b"\0" * int(rng.integers(1, 10_000))))
    chunks[index] = name, content
    body = b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    return data[:8] + body
