"""Explanations as files: the heatmap with its record, the record alone, and the overlay."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.files import open_part, replace, wrap_write_errors, write_atomic
from onnxplain.image import encode_jpeg, encode_png, write_png
from onnxplain.results.placing import place

FORMAT = 2  # of the files; raised when earlier versions would misread new files
PHOTO = "photo_jpeg"  # the array that holds the photo
LONGEST_SIDE = 65_500  # that JPEG has room for
PICTURES = (".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg", ".pdf")


class Content(NamedTuple):
    """What the files of an explanation hold.

    Parameters
    ----------
    record : mapping
        Everything but the arrays, ready for JSON.
    arrays : mapping of ndarray or None
        The maps by name; None for those that the explanation does not have.
    photo : (rows, columns, 3) ndarray of uint8, or None
        What the overlay is drawn on.
    draw : callable
        Returns the overlay.
    """

    record: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any] | None]
    photo: NDArray[np.uint8] | None
    draw: Callable[[], NDArray[np.uint8]]


class SavedFiles(NamedTuple):
    """Paths of the files of a saved explanation; None for those that were not written."""

    heatmap: Path | None
    record: Path | None
    overlay: Path | None


def save_content(content: Content, path: Path) -> SavedFiles:
    """Write an explanation into a folder, or one file of it; see `Explanation.save`."""
    suffix = path.suffix.lower()
    if not path.is_dir():
        if suffix in (".png", ".npz", ".json"):
            return _save_file(content, path, suffix)
        if suffix in PICTURES:
            raise ValueError(
                f"{path}: overlays are written as .png, heatmaps as .npz and records as .json; "
                f"give a path with one of these endings, or a folder"
            )
    return _save_folder(content, path)


def _save_file(content: Content, path: Path, suffix: str) -> SavedFiles:
    with wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".png":
            write_png(path, content.draw())
            return SavedFiles(None, None, path)
        if suffix == ".json":
            write_atomic(path, _format_record(content).encode() + b"\n")
            return SavedFiles(None, path, None)
        with open_part(path.parent) as (part, file):
            _write_npz(content, file, _format_record(content))
            file.close()
            part.replace(path)
        return SavedFiles(path, None, None)


def _save_folder(content: Content, folder: Path) -> SavedFiles:
    """Write all files under names of their own first: if the disk is full, none appears."""
    text = _format_record(content)
    with wrap_write_errors(folder), ExitStack() as parts:
        folder.mkdir(parents=True, exist_ok=True)

        def write_part(write: Callable[[BinaryIO], object]) -> Path:
            part, file = parts.enter_context(open_part(folder))
            write(file)
            file.close()
            return part

        npz_part = write_part(lambda file: _write_npz(content, file, text))
        record_part = write_part(lambda file: file.write(text.encode() + b"\n"))
        png_part = None
        if content.photo is not None:
            png_part = write_part(lambda file: file.write(encode_png(content.draw())))
        base = place(npz_part, folder, json.loads(text))
        npz, record = folder / f"{base}.npz", folder / f"{base}.json"
        png = None
        if png_part is not None:
            png = folder / f"{base}.png"
            replace(png_part, png)
        # The record comes last: if it exists, the other files do.
        replace(record_part, record)
    return SavedFiles(npz, record, png)


def _format_record(content: Content) -> str:
    return json.dumps(content.record, allow_nan=False, indent=2)


def _write_npz(content: Content, file: IO[bytes], record: str) -> None:
    arrays = dict(content.arrays)
    if content.photo is not None and max(content.photo.shape) <= LONGEST_SIDE:
        arrays[PHOTO] = np.frombuffer(encode_jpeg(content.photo), np.uint8)
    held = {name: array for name, array in arrays.items() if array is not None}
    np.savez(file, allow_pickle=False, record=np.array(record), **held)
