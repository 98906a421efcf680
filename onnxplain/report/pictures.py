"""Pictures in a page: small enough that 50 photos with their maps stay below three megabytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from onnxplain.core.data import Heatmap
from onnxplain.image import resize
from onnxplain.plot.colours import Scale
from onnxplain.report.reading import fit_size

ALL_BYTES = 1_950_000  # of the pictures of 50 photos, a third more in base64
MANY = 50  # photos, from which on a report grows
PHOTO_BYTES, MAP_BYTES, FILL_BYTES = 50_000, 30_000, 6_000
PHOTO_FORMS = ((448, 85), (448, 75), (384, 75), (320, 70), (256, 65), (192, 60), (128, 50))
MAP_FORMS = ((256, 1), (224, 1), (160, 1), (112, 1), (112, 4), (80, 4), (56, 4), (40, 8))
FILL_FORMS = ((224, 80), (128, 75), (96, 60), (64, 50))


def share_bytes(n_photos: int, n_maps: int) -> tuple[int, int]:
    """Return how many bytes each photo and each map may have."""
    each = ALL_BYTES / min(max(n_photos, 1), MANY)
    maps_of_photo = n_maps / max(n_photos, 1)
    photo = min(each * (0.5 if maps_of_photo > 1 else 0.6), PHOTO_BYTES)
    left = (each - photo) / max(maps_of_photo, 1)
    return int(photo), int(min(left, MAP_BYTES))


def encode_photo(
    pixels: NDArray[np.uint8], limit: int, forms: Sequence[tuple[int, int]] = PHOTO_FORMS
) -> str:
    """Return a photo as the data URL of a JPEG of at most `limit` bytes, or of the smallest form.

    Parameters
    ----------
    pixels : (H, W, 3) ndarray of uint8
        The photo.
    limit : int
        Bytes.
    forms : sequence of (side, quality)
        Forms to try, the largest first.
    """
    photo = PIL.Image.fromarray(pixels)

    def encode(form: tuple[int, int]) -> bytes:
        rows, columns = fit_size(pixels.shape[:2], form[0])
        file = io.BytesIO()
        photo.resize((columns, rows)).save(file, "JPEG", quality=form[1], optimize=True)
        return file.getvalue()

    return _make_url("image/jpeg", _encode_small(encode, forms, limit))


def encode_map(heatmap: Heatmap, scale: Scale, limit: int) -> str:
    """Return a map as the data URL of a PNG in grey: 0 is the low end of the scale, 255 the high.

    Parameters
    ----------
    heatmap : (H, W) ndarray of float32
        The map.
    scale : Scale
        Its ends.
    limit : int
        Bytes; a map that needs more gets fewer pixels and coarser levels.
    """

    def encode(form: tuple[int, int]) -> bytes:
        side, step = form
        size = fit_size(heatmap.shape, side)
        smaller = heatmap if size == heatmap.shape else resize(heatmap, size, antialias=True)
        levels = to_levels(smaller, scale)
        if step > 1:
            levels = (np.rint(levels / step) * step).clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        PIL.Image.fromarray(levels).save(file, "PNG", compress_level=9)
        return file.getvalue()

    return _make_url("image/png", _encode_small(encode, MAP_FORMS, limit))


def to_levels(heatmap: Heatmap, scale: Scale) -> NDArray[np.uint8]:
    """Return the level of each value on a scale, from 0 to 255."""
    span = scale.high - scale.low
    if not span > 0:
        return np.zeros(heatmap.shape, np.uint8)
    shares = (heatmap.astype(np.float64) - scale.low) / span
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)


def find_plain_colour(picture: NDArray[np.uint8]) -> str | None:
    """Return the colour of a picture of one colour, as ``#rrggbb``; None for others."""
    first = picture[0, 0]
    is_plain = int(np.abs(picture.astype(np.int16) - first).max()) <= 1
    return "#" + bytes(first.tolist()).hex() if is_plain else None


def _encode_small(
    encode: Callable[[tuple[int, int]], bytes], forms: Sequence[tuple[int, int]], limit: int
) -> bytes:
    """Return the content of the first form that has at most `limit` bytes, or of the last one.

    Forms that are too large by far, going by their number of pixels, are not tried.
    """
    content, side = encode(forms[0]), forms[0][0]
    for form in forms[1:]:
        if len(content) <= limit:
            break
        if form == forms[-1] or len(content) * (form[0] / side) ** 2 <= 1.5 * limit:
            content, side = encode(form), form[0]
    return content


def _make_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
