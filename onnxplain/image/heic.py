"""HEIC photos, as telephones take them, opened by pillow-heif where it is installed."""

from __future__ import annotations

import io
from pathlib import Path

import PIL.ImageFile

from onnxplain.core.errors import LibraryMissing

# Brands of the container; AVIF has others, and Pillow opens it itself.
BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_heic(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a HEIC photo."""
    return start[4:8] == b"ftyp" and start[8:12] in BRANDS and b"avif" not in start[8:64]


def open_heic(content: Path | io.BytesIO, name: str) -> PIL.ImageFile.ImageFile:
    """Open a HEIC photo.

    Raises
    ------
    LibraryMissing
        If pillow-heif is not installed.
    """
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError as error:
        raise LibraryMissing(
            f"{name}: is a HEIC photo, which needs pillow-heif ({error}); pip install "
            f"'onnxplain[heic]', or save the photo as JPEG"
        ) from error
    photo: PIL.ImageFile.ImageFile = HeifImageFile(content)
    try:
        PIL.Image._decompression_bomb_check(photo.size)  # Image.open does it for other formats
    except BaseException:
        photo.close()
        raise
    return photo
