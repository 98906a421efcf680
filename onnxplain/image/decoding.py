"""The pixels of an opened photo: upright, opaque, RGB, with all of their bits."""

from __future__ import annotations

import io
import logging
from typing import TypeGuard

import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageFile
from numpy.typing import NDArray
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from onnxplain.core.data import Image
from onnxplain.image.opencv import cv2

log = logging.getLogger(__name__)


def decode_photo(photo: PIL.Image.Image, name: str, white: int | None = None) -> Image:
    """Decode an opened photo to (H, W, 3) float32 in [0, 1].

    Parameters
    ----------
    photo : PIL.Image.Image
        The photo.
    name : str
        Its name in warnings.
    white : int, optional
        The value of white where there are more than 8 bits; as the file says if not given.

    Raises
    ------
    ValueError
        If it has no pixels, nothing says which value is white, or a value is above it.
    """
    content = _read_content(photo) if _is_deep(photo) else None  # Pillow closes a file once decoded
    photo.load()  # refuses truncated files, which OpenCV does not
    deep = None if content is None else _decode_deep(content)
    pixels = _convert_pixels(photo, name, white) if deep is None else scale_deep(deep, name, white)
    if not pixels.size:
        raise ValueError("it has no pixels")
    if photo.format != "TIFF":  # Pillow and OpenCV turn TIFF themselves
        pixels = _turn_upright(pixels, photo.getexif().get(PIL.ExifTags.Base.Orientation, 1))
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:]
        pixels = pixels[..., :3] * alpha + (np.float32(1) - alpha)
    return np.ascontiguousarray(pixels)


def decode_copy(
    photo: PIL.Image.Image, formats: tuple[str, ...], name: str, white: int | None = None
) -> Image:
    """Decode a photo as `decode_photo` does, in a way that can be repeated.

    A photo with colours of 16 bits is decoded from a copy: Pillow would leave it with 8 bits.
    """
    if not _is_deep(photo):
        return decode_photo(photo, name, white)
    with PIL.Image.open(io.BytesIO(_read_content(photo)), formats=formats) as copy:
        return decode_photo(copy, name, white)


def scale_deep(
    values: NDArray[np.integer], name: str, white: int | None = None, usual: int = 65535
) -> NDArray[np.float32]:
    """Scale values of more than 8 bits to [0, 1]; warn if they seem to use fewer bits.

    Parameters
    ----------
    values : ndarray of int
        Not negative.
    name : str
        The image's name in the warning.
    white : int, optional
        The value of white; `usual` if not given.
    usual : int
        The value of white that the file's format has.

    Raises
    ------
    ValueError
        If a value is negative or above white.
    """
    top = int(values.max(initial=0))
    if white is None and usual == 65535 and 0 < top < 4096:
        likely = next(value for value in (255, 1023, 4095) if value >= top)
        log.warning(
            "%s: its 16-bit values end at %d, as if %d were white, and it is read as nearly black; "
            "explain takes --white %d (in Python white=%d) if that is so, and 65535 if it is dark",
            *(name, top, likely, likely, likely),
        )
    limit = usual if white is None else white
    if int(values.min(initial=0)) < 0 or top > limit:
        raise ValueError(
            f"its values lie in [{values.min()}, {top}], but white is {limit}; give another "
            f"white, or save it with 8 or 16 bits"
        )
    return values.astype(np.float32) / np.float32(limit)


def _turn_upright(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Undo an EXIF orientation: 5 to 8 are transposed, the others only mirrored, if anything."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _convert_pixels(photo: PIL.Image.Image, name: str, white: int | None) -> NDArray[np.float32]:
    """Convert what Pillow decoded to (H, W, 3 or 4) in [0, 1]."""
    if photo.mode.startswith("I"):
        usual = _find_white(photo) if white is None else white
        grey = scale_deep(np.asarray(photo), name, white, usual)
        return np.repeat(grey[..., None], 3, axis=2)
    if photo.mode.startswith("F"):
        grey = np.asarray(photo).astype(np.float32)
        if not (grey.min() >= 0 and grey.max() <= 1):
            raise ValueError(
                f"pixels lie outside the range of mode {photo.mode}; save it with 8 or 16 bits"
            )
        return np.repeat(grey[..., None], 3, axis=2)
    mode = "RGBA" if photo.has_transparency_data else "RGB"
    return np.asarray(photo.convert(mode)).astype(np.float32) / np.float32(255)


def _find_white(photo: PIL.Image.Image) -> int:
    """Find the value of white in a grey photo of whole numbers."""
    if isinstance(photo, TiffImageFile) and photo.tag_v2.get(BITSPERSAMPLE) == (12,):
        return 4095
    # Whole numbers from PNG and PGM files have 16 bits, whatever the mode.
    if photo.mode == "I" and photo.format not in ("PNG", "PPM"):
        raise ValueError(
            "its pixels are whole numbers of 32 bits, or signed, and nothing says which value is "
            "white; give it as white= (--white), or save the image with 8 or 16 bits"
        )
    return 65535


def _is_deep(photo: PIL.Image.Image) -> TypeGuard[PIL.ImageFile.ImageFile]:
    """Return whether a PNG or TIFF has 16-bit colours that Pillow has not yet reduced to 8."""
    if not isinstance(photo, PIL.ImageFile.ImageFile) or photo.fp is None or photo.tell() != 0:
        return False  # OpenCV finds the first frame only
    if photo.mode.startswith(("I", "F")) or not photo.tile:  # tiles are the parts not yet decoded
        return False
    if photo.format == "PNG":
        return _read_content(photo, 25)[24] == 16  # IHDR is the first chunk
    return isinstance(photo, TiffImageFile) and photo.tag_v2.get(BITSPERSAMPLE, (8,))[0] == 16


def _read_content(photo: PIL.ImageFile.ImageFile, length: int = -1) -> bytes:
    """Read the first `length` bytes of an opened file, or all; leave Pillow's position in it."""
    assert photo.fp is not None
    place = photo.fp.tell()
    photo.fp.seek(0)
    content = photo.fp.read(length)
    photo.fp.seek(place)
    return content


def _decode_deep(content: bytes) -> NDArray[np.uint16] | None:
    """Decode 16-bit pixels to (H, W, 3 or 4); return None if OpenCV has no decoder."""
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        return None
    order = [2, 1, 0, 3][: decoded.shape[2]]
    return np.asarray(decoded[..., order], np.uint16)
