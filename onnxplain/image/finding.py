"""Find photos: in folders, by patterns, and as files that can be opened."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NoReturn

from onnxplain.core.errors import ImageError, tell_reason

# Endings of photos, by which they are found in folders; files given by name may have any.
PHOTO_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2"),
        *(".avif", ".heic", ".heif", ".dcm"),
    )
)


def find_photos(given: str | os.PathLike[str], *, recursive: bool = False) -> list[Path]:
    """Find the photos that a path, a folder or a pattern means, sorted by path.

    Parameters
    ----------
    given : path or str
        A file, which is returned as it is, whether it exists or not; a folder, for the photos in
        it, without the pictures of explanations that were written there; or, where there is no
        such file, a pattern such as ``photos/*.jpg`` or ``photos/**/*.png``.
    recursive : bool
        Whether to look into folders below the folder too.

    Raises
    ------
    ImageError
        If the folder holds no photo, or no file fits the pattern, which folders alone may do.
    ValueError
        If a folder cannot be read.
    """
    path = Path(given)
    if path.is_dir():
        pictures = sorted(list_files(path, PHOTO_SUFFIXES, recursive=recursive))
        photos = [picture for picture in pictures if not _shows_explanation(picture)]
        if pictures and not photos:
            raise ImageError(f"{path}: holds pictures of explanations only; name the photos")
        if not photos:
            further = "" if recursive else "; --recursive looks into the folders below it too"
            raise ImageError(f"{path}: is a folder without photos{further}")
        return photos
    if path.exists() or not glob.has_magic(str(given)):
        return [path]
    fitting = sorted(Path(match) for match in glob.glob(str(given), recursive=True))
    if not fitting:
        raise ImageError(f"{given}: no file fits this pattern; check the path")
    photos = [photo for photo in fitting if not photo.is_dir()]
    if not photos:
        raise ImageError(f"{given}: only folders fit this pattern; {given}/* means what they hold")
    return photos


def _shows_explanation(picture: Path) -> bool:
    """Return whether a picture lies beside the heatmap and the record of an explanation."""
    is_png = picture.suffix == ".png"
    return is_png and all(picture.with_suffix(end).is_file() for end in (".npz", ".json"))


def list_files(
    folder: Path, suffixes: Collection[str], *, recursive: bool = True
) -> Iterator[Path]:
    """Yield the files below a folder that have one of the suffixes, without hidden files.

    Raises
    ------
    ValueError
        If a folder cannot be read.
    """
    for place, folders, names in os.walk(folder, onerror=_raise_unreadable):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            # Broken links are included, so that they are reported as unreadable; pipes are not.
            is_file = path.is_file() or not path.exists()
            if is_file and path.suffix.lower() in suffixes:
                yield path


def _raise_unreadable(error: OSError) -> NoReturn:
    raise ValueError(
        f"the folder {error.filename} cannot be read ({tell_reason(error)}); make it readable, or "
        f"move it elsewhere"
    ) from error
