"""Read photos from files, and write pictures to files."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from onnxplain.core.data import Image
from onnxplain.core.errors import ImageError, LibraryMissing, tell_reason
from onnxplain.core.files import describe_missing, open_replacement, wrap_write_errors
from onnxplain.image.decoding import decode_copy, decode_photo
from onnxplain.image.dicom import is_dicom, read_dicom
from onnxplain.image.heic import is_heic, open_heic
from onnxplain.image.opencv import cv2

# Photo formats only: Pillow also reads formats for which it starts other programs (EPS).
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
MAX_PIXELS = 64_000_000
SNIFFED = 132  # bytes at the beginning that tell DICOM and HEIC

_DECODERS = threading.Lock()


def read_image(
    source: str | os.PathLike[str] | bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    white: int | None = None,
    name: str | None = None,
) -> Image:
    """Read a photo upright and opaque, as a viewer shows it.

    The EXIF orientation is applied, and transparent pixels are laid over white. Grey, palette
    and CMYK become RGB; embedded colour profiles are not applied, as in the usual training
    pipelines. 16 bits per channel keep their precision. If there are several frames, the first
    is read. DICOM files show their first window.

    Parameters
    ----------
    source : path or bytes
        A JPEG, PNG, TIFF, WebP, BMP, GIF, PPM, JPEG 2000 or AVIF file; a DICOM file, with pydicom
        installed; a HEIC file, with pillow-heif installed; or the content of such a file.
    max_pixels : int
        Largest number of pixels; a larger photo is refused before its pixels are read.
    white : int, optional
        The value of white in an image of more than 8 bits, such as 4095 for 12 bits in a file of
        16; what the file's format says if not given.
    name : str, optional
        The image's name in error texts; its path if not given.

    Returns
    -------
    image : (H, W, 3) ndarray of float32 in [0, 1]

    Raises
    ------
    ImageError
        If the file is missing, unreadable, truncated, not an image, or too large.
    LibraryMissing
        If reading the format needs a package that is not installed.
    """
    if isinstance(source, bytes):
        name = name or "image"
        if not source:
            raise ImageError(f"{name}: is empty; give an image file")
        content: Path | io.BytesIO = io.BytesIO(source)
        start = source[:SNIFFED]
    else:
        content = Path(source)
        name = name or str(content)
        start = check_file(content)
    try:
        with _limit_pixels(max_pixels):
            if is_dicom(start):
                return read_dicom(content, name, max_pixels)
            if is_heic(start):
                with open_heic(content, name) as photo:
                    return decode_photo(photo, name, white)
            with PIL.Image.open(content, formats=FORMATS) as photo:
                return decode_photo(photo, name, white)
    except LibraryMissing:
        raise
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        size = str(error).partition(")")[0].lower()
        raise ImageError(
            f"{name}: {size}) exceeds the limit of {max_pixels}; "
            "pass a higher --max-pixels, or give a smaller photo"
        ) from error
    except PIL.UnidentifiedImageError as error:
        listed = ", ".join((*FORMATS, "DICOM", "HEIC"))
        raise ImageError(f"{name}: not an image; give one of {listed}") from error
    except Exception as error:  # decoders raise errors of every kind
        raise ImageError(f"{name}: cannot be read as an image: {error or repr(error)}") from error


def read_pillow(photo: PIL.Image.Image, name: str, *, white: int | None = None) -> Image:
    """Read the pixels of a Pillow image as `read_image` reads its file.

    The orientation in its EXIF data is applied, and transparent pixels are laid over white.
    There is no limit on its size.

    Parameters
    ----------
    photo : PIL.Image.Image
        An image of any mode that Pillow can convert to RGB, from a file or not.
    name : str
        The image's name in error texts.
    white : int, optional
        As in `read_image`.

    Returns
    -------
    image : (H, W, 3) ndarray of float32 in [0, 1]

    Raises
    ------
    ImageError
        If it has no pixels, or they cannot be decoded.

    Notes
    -----
    Pillow keeps 8 bits of 16-bit colours when it decodes them. If it has decoded the image
    before, the other bits are lost.
    """
    try:
        with _limit_pixels(None):
            return decode_copy(photo, FORMATS, name, white)
    except Exception as error:  # as in `read_image`
        raise ImageError(f"{name}: cannot be read as an image: {error or repr(error)}") from error


def write_png(path: str | os.PathLike[str], picture: NDArray[np.uint8]) -> None:
    """Write a picture as PNG; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        The folder must exist; an existing file is replaced.
    picture : (H, W, 3) ndarray of uint8
        RGB.

    Raises
    ------
    OutputError
        If the folder is missing or cannot be written.
    """
    path = Path(path)
    with wrap_write_errors(path), open_replacement(path) as file:
        PIL.Image.fromarray(picture).save(file, "PNG")


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """Return the content of a PNG file of a picture (H, W, 3)."""
    file = io.BytesIO()
    PIL.Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def encode_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Return the content of a JPEG file of a picture (H, W, 3), of high quality."""
    file = io.BytesIO()
    PIL.Image.fromarray(picture).save(file, "JPEG", quality=90, subsampling=0)
    return file.getvalue()


def load_example_photo() -> Image:
    """Load the photo of a cup of coffee that comes with scikit-image.

    It is for trying out models on a real photo: noise and plain areas put values on the kinks
    of a network.

    Returns
    -------
    photo : (400, 600, 3) ndarray of float32 in [0, 1]
        RGB.
    """
    import skimage.data  # 0.1 s to import, and rarely needed

    pixels = skimage.data.coffee()
    return np.asarray(pixels, np.float32) / np.float32(255)


def check_file(path: str | os.PathLike[str]) -> bytes:
    """Return the first bytes of a file, after checking that it is a file with something in it.

    Raises
    ------
    ImageError
        If the path is missing, a folder, not a regular file, unreadable or empty.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise ImageError(f"{path}: is a folder; give the image files in it")
        if path.exists() and not path.is_file():
            raise ImageError(f"{path}: is not a regular file; give an image file")
        with path.open("rb") as file:
            start = file.read(SNIFFED)
    except FileNotFoundError as error:
        raise ImageError(describe_missing(path)) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise ImageError(f"{path}: cannot be opened: {tell_reason(error)}") from error
    if not start:
        raise ImageError(f"{path}: is empty; give an image file")
    return start


@contextmanager
def _limit_pixels(max_pixels: int | None) -> Iterator[None]:
    """Make Pillow refuse larger images, and silence all other warnings of the decoders.

    The limit, the warning filters and the log level belong to the whole process, hence the lock.
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
