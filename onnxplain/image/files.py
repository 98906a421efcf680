"""Photos from files, and pictures to files."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeGuard

import cv2
import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageFile
from numpy.typing import NDArray
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from onnxplain.core.data import Image
from onnxplain.core.errors import ImageError
from onnxplain.core.files import replacing, wrapping_write_errors

# Photo formats only: Pillow also knows formats that start other programs (EPS).
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
MAX_PIXELS = 64_000_000

_DECODERS = threading.Lock()


def read_image(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read a photo, upright, as the eye sees it.

    The EXIF orientation is applied; transparent pixels are laid over white; grey, palette
    and CMYK become RGB (embedded colour profiles are not applied, as in the usual training
    pipelines); 16 bits a channel keep their precision; of several frames the first is read.

    Parameters
    ----------
    path : path
        A JPEG, PNG, TIFF, WebP, BMP, GIF, PPM, JPEG 2000 or AVIF file.
    max_pixels : int
        Refuse a photo with more pixels; its header is read before its pixels are.

    Returns
    -------
    image : (H, W, 3) ndarray of float32 in [0, 1]

    Raises
    ------
    ImageError
        If the file is missing, unreadable, truncated, no image, or too large.
    """
    path = Path(path)
    _check_file(path)
    try:
        with _quiet(max_pixels), PIL.Image.open(path, formats=FORMATS) as photo:
            return _rgb(photo)
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        given = str(error).partition(")")[0].lower()
        raise ImageError(
            f"{path}: {given}) exceeds the limit of {max_pixels}; "
            "pass a higher --max-pixels, or give a smaller photo"
        ) from error
    except PIL.UnidentifiedImageError as error:
        raise ImageError(f"{path}: not an image; give one of {', '.join(FORMATS)}") from error
    except Exception as error:  # decoders meet broken files with errors of every kind
        raise ImageError(f"{path}: cannot be read as an image: {error or repr(error)}") from error


def read_pillow(photo: PIL.Image.Image, name: str) -> Image:
    """The pixels of a Pillow image, as `read_image` gives those of its file.

    So an orientation in its EXIF data is applied, and transparent pixels are laid over white.
    Its size is the matter of whoever opened it.

    Parameters
    ----------
    photo : PIL.Image.Image
        Opened or made, of any mode that Pillow turns into RGB.
    name : str
        What messages call it.

    Returns
    -------
    image : (H, W, 3) ndarray of float32 in [0, 1]

    Raises
    ------
    ImageError
        If it has no pixels, or they cannot be decoded.

    Notes
    -----
    Of colours of 16 bits Pillow keeps 8 when it decodes them: the others are lost if that
    happened before.
    """
    try:
        with _quiet(None):
            if not _is_deep(photo):
                return _rgb(photo)
            # A copy is decoded, or the same image would hold 8 bits when it comes again.
            with PIL.Image.open(io.BytesIO(_content(photo)), formats=FORMATS) as copy:
                return _rgb(copy)
    except Exception as error:  # as in `read_image`
        raise ImageError(f"{name}: cannot be read as an image: {error or repr(error)}") from error


def write_png(path: str | os.PathLike[str], picture: NDArray[np.uint8]) -> None:
    """Write a picture as PNG; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        Its folder must exist; a file of this name is replaced.
    picture : (H, W, 3) ndarray of uint8
        RGB.

    Raises
    ------
    OutputError
        If the folder is missing or cannot be written.
    """
    path = Path(path)
    with wrapping_write_errors(path), replacing(path) as file:
        PIL.Image.fromarray(picture).save(file, "PNG")


def _check_file(path: Path) -> None:
    """Refuse what is no readable file with something in it."""
    try:
        if path.is_dir():
            raise ImageError(f"{path}: is a folder; give the image files in it")
        if path.exists() and not path.is_file():
            raise ImageError(f"{path}: is not a regular file; give an image file")
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise ImageError(f"{path}: cannot be opened: {error}") from error
    if empty:
        raise ImageError(f"{path}: is empty; give an image file")


@contextmanager
def _quiet(max_pixels: int | None) -> Iterator[None]:
    """Make Pillow refuse more pixels, and keep the decoders' other warnings to themselves.

    Limit, filters and log level belong to the whole process, hence the lock.
    """
    with _DECODERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        limit = PIL.Image.MAX_IMAGE_PIXELS
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        PIL.Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit
            cv2.utils.logging.setLogLevel(level)


def _rgb(photo: PIL.Image.Image) -> Image:
    """The pixels of an opened photo, upright, opaque, RGB."""
    content = _content(photo) if _is_deep(photo) else None  # Pillow closes what it has decoded
    photo.load()  # refuses what is truncated, which OpenCV does not
    deep = None if content is None else _decode_deep(content)
    pixels = _pixels(photo) if deep is None else deep
    if not pixels.size:
        raise ValueError("it has no pixels")
    if photo.format != "TIFF":  # Pillow and OpenCV turn TIFF themselves
        pixels = _upright(pixels, photo.getexif().get(PIL.ExifTags.Base.Orientation, 1))
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:]
        pixels = pixels[..., :3] * alpha + (np.float32(1) - alpha)
    return np.ascontiguousarray(pixels)


def _upright(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Undo an EXIF orientation: 5 to 8 are transposed, the others mirrored at most."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _pixels(photo: PIL.Image.Image) -> NDArray[np.float32]:
    """What Pillow decoded, as (H, W, 3 or 4) in [0, 1]."""
    if photo.mode.startswith(("I", "F")):
        grey = np.asarray(photo).astype(np.float32)
        grey = grey / np.float32(_white(photo)) if photo.mode.startswith("I") else grey
        if not (grey.min() >= 0 and grey.max() <= 1):
            raise ValueError(
                f"pixels lie outside the range of mode {photo.mode}; save it with 8 or 16 bits"
            )
        return np.repeat(grey[..., None], 3, axis=2)
    mode = "RGBA" if photo.has_transparency_data else "RGB"
    return np.asarray(photo.convert(mode)).astype(np.float32) / np.float32(255)


def _white(photo: PIL.Image.Image) -> int:
    """What white is in a grey photo of whole numbers."""
    if isinstance(photo, TiffImageFile) and photo.tag_v2.get(BITSPERSAMPLE) == (12,):
        return 4095
    # The numbers of PNG and PGM have 16 bits, whatever the mode.
    if photo.mode == "I" and photo.format not in ("PNG", "PPM"):
        raise ValueError(
            "its pixels are whole numbers of 32 bits, or signed, and nothing says which is white; "
            "save it with 8 or 16 bits"
        )
    return 65535


def _is_deep(photo: PIL.Image.Image) -> TypeGuard[PIL.ImageFile.ImageFile]:
    """Whether a PNG or TIFF has colours of 16 bits that Pillow has not yet made 8."""
    if not isinstance(photo, PIL.ImageFile.ImageFile) or photo.fp is None or photo.tell() != 0:
        return False  # OpenCV finds the first frame alone
    if photo.mode.startswith(("I", "F")) or not photo.tile:  # tiles are what is to be decoded
        return False
    if photo.format == "PNG":
        return _content(photo, 25)[24] == 16  # IHDR is the first chunk
    return isinstance(photo, TiffImageFile) and photo.tag_v2.get(BITSPERSAMPLE, (8,))[0] == 16


def _content(photo: PIL.ImageFile.ImageFile, length: int = -1) -> bytes:
    """The first bytes of an opened file, or all; Pillow goes on where it was."""
    assert photo.fp is not None
    place = photo.fp.tell()
    photo.fp.seek(0)
    content = photo.fp.read(length)
    photo.fp.seek(place)
    return content


def _decode_deep(content: bytes) -> NDArray[np.float32] | None:
    """The 16-bit pixels of a file, (H, W, 3 or 4) in [0, 1]; None where OpenCV has no decoder."""
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        return None
    order = [2, 1, 0, 3][: decoded.shape[2]]
    return decoded[..., order].astype(np.float32) / np.float32(65535)


def load_example_photo() -> Image:
    """Return the photo of a cup of coffee that comes with scikit-image.

    It tries out models on a real photo: in noise, and in plain areas, values lie on the kinks
    of a network.

    Returns
    -------
    photo : (400, 600, 3) ndarray of float32 in [0, 1]
        RGB.
    """
    import skimage.data  # 0.1 s to import, and rarely needed

    pixels = skimage.data.coffee()  # type: ignore[no-untyped-call]  # of skimage
    return np.asarray(pixels, np.float32) / np.float32(255)
