"""Pictures of noise, and files with a header only."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def make_noise(rows: int, columns: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, channels), np.uint8)


def make_deep(rows: int, columns: int, channels: int) -> NDArray[np.uint16]:
    drawn = np.random.default_rng(1).integers(0, 65536, (rows, columns, channels), np.uint16)
    return drawn[..., 0] if channels == 1 else drawn


def make_png_header(width: int, height: int, colour: int = 2, extra: bytes = b"") -> bytes:
    """Make the header of a PNG without pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
