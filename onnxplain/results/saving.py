"""Explanations as files: the heatmap with its record, the record alone, and the overlay."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.files import open_part, wrap_write_errors, write_atomic
from onnxplain.image import encode_jpeg, write_png
from onnxplain.plot import Look
from onnxplain.results.placing import place

if TYPE_CHECKING:
    from onnxplain.results.explanation import Explanation

FORMAT = 2  # of the files; raised when earlier versions would misread new files
PHOTO = "photo_jpeg"  # the array that holds the photo
LONGEST_SIDE = 65_500  # that JPEG has room for
PICTURES = (".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg", ".pdf")


class SavedFiles(NamedTuple):
    """Paths of the files of a saved explanation; None for those that were not written."""

    heatmap: Path | None
    record: Path | None
    overlay: Path | None


def save_explanation(explanation: Explanation, path: Path, look: Look) -> SavedFiles:
    """Write an explanation into a folder, or one file of it; see `Explanation.save`."""
    suffix = path.suffix.lower()
    if not path.is_dir():
        if suffix in (".png", ".npz", ".json"):
            return _save_file(explanation, path, suffix, look)
        if suffix in PICTURES:
            raise ValueError(
                f"{path}: overlays are written as .png, heatmaps as .npz and records as .json; "
                f"give a path with one of these endings, or a folder"
            )
    return _save_folder(explanation, path, look)


def _save_file(explanation: Explanation, path: Path, suffix: str, look: Look) -> SavedFiles:
    with wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".png":
            write_png(path, explanation.overlay(**asdict(look)))
            return SavedFiles(None, None, path)
        if suffix == ".json":
            write_atomic(path, _format_record(explanation).encode() + b"\n")
            return SavedFiles(None, path, None)
        with open_part(path.parent) as (part, file):
            _write_npz(explanation, file, _format_record(explanation))
            file.close()
            part.replace(path)
        return SavedFiles(path, None, None)


def _save_folder(explanation: Explanation, folder: Path, look: Look) -> SavedFiles:
    with wrap_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        text = _format_record(explanation)
        with open_part(folder) as (part, file):
            _write_npz(explanation, file, text)
            file.close()
            base = place(part, folder, json.loads(text))
        npz, record = folder / f"{base}.npz", folder / f"{base}.json"
        png = None
        if explanation.photo is not None:
            png = folder / f"{base}.png"
            write_png(png, explanation.overlay(**asdict(look)))
        # The record is written last: if it exists, the other files do.
        write_atomic(record, text.encode() + b"\n")
    return SavedFiles(npz, record, png)


def _format_record(explanation: Explanation) -> str:
    return json.dumps(explanation.record(), allow_nan=False, indent=2)


def _write_npz(explanation: Explanation, file: IO[bytes], record: str) -> None:
    np.savez(file, allow_pickle=False, record=np.array(record), **_list_arrays(explanation))


def _list_arrays(explanation: Explanation) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any] | None] = {
        "heatmap": explanation.heatmap,
        "coarse": explanation.coarse,
        "order": explanation.order,
    }
    if explanation.photo is not None and max(explanation.photo.shape) <= LONGEST_SIDE:
        arrays[PHOTO] = np.frombuffer(encode_jpeg(explanation.photo), np.uint8)
    return {name: array for name, array in arrays.items() if array is not None}
