"""The files of an evaluation: its rows, tables, photos and kept heatmaps."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.arrays import read_npy
from onnxplain.core.data import Heatmap
from onnxplain.core.errors import ImageError, OutputError, tell_reason
from onnxplain.core.files import open_regular
from onnxplain.core.text_files import ANNOTATION_BYTES, TextError, read_text
from onnxplain.image import list_files, read_image
from onnxplain.study.columns import find_wrong_fields
from onnxplain.study.result import KEYS_FILE, ROWS_FILE, Study
from onnxplain.study.rows import KEY_LENGTH, Row, read_rows
from onnxplain.study.tables import Table
from onnxplain.subjects import hash_photo, to_uint8

TEXTS = ("model", "metric", "method", "better", "unit", "first", "second")  # columns of tables


@dataclass(frozen=True, eq=False)
class StudyFiles:
    """Where the files of an evaluation are.

    Parameters
    ----------
    rows : Path
        Its rows.
    images, heatmaps : Path or None
        Folders of the photos and of kept heatmaps.
    keys : collection of str, or None
        The rows that count; None for all.
    tables : mapping
        The tables ``means`` and ``pairs``, if they are known.
    """

    rows: Path
    images: Path | None = None
    heatmaps: Path | None = None
    keys: Collection[str] | None = None
    tables: Mapping[str, Table] = field(default_factory=dict)

    @cached_property
    def kept(self) -> dict[str, Path]:
        """The heatmaps below the folders, by their keys."""
        folders = [folder for folder in (self.heatmaps, self.rows.parent) if folder]
        try:
            found = [path for folder in folders for path in list_files(folder, (".npy",))]
        except ValueError as error:
            raise OutputError(str(error)) from error
        return {path.stem[-KEY_LENGTH:]: path for path in found}

    def read(self) -> Iterator[Row]:
        """Yield the rows that count, each checked.

        Raises
        ------
        OutputError
            If the file cannot be read, or a row is not as it was written.
        """
        for row in read_rows(self.rows):
            if self.keys is not None and row["key"] not in self.keys:
                continue
            if wrong := find_wrong_fields(row):
                raise OutputError(
                    f"{self.rows}: the row with the key {row['key']} is not as it was written: "
                    f"{', '.join(wrong)}; remove the line, or evaluate again"
                )
            yield row


def find_rows(rows: Path, images: Path | None = None, heatmaps: Path | None = None) -> StudyFiles:
    """Return where the files of rows are, with the keys of the tables that lie beside them.

    A folder may hold rows of earlier plans, too. Without tables all rows count.
    """
    try:
        with open_regular(rows.parent / KEYS_FILE) as file:
            keys = {line.strip().decode("ascii", "replace") for line in file}
    except OSError:
        return StudyFiles(rows, images, heatmaps)
    return StudyFiles(rows, images, heatmaps, keys if rows.name == ROWS_FILE else None)


def find_study(study: Study, heatmaps: Path | None = None) -> StudyFiles:
    """Return where the files of a study are, with its own tables."""
    images = None if study.plan.images is None else Path(study.plan.images)
    rows, tables = study.output / ROWS_FILE, study.tables
    return StudyFiles(rows, images, heatmaps, study.keys, tables)


def read_photo(folder: Path, row: Row) -> NDArray[np.uint8]:
    """Read the photo of a row.

    Raises
    ------
    ImageError
        If it cannot be read, is another one, or is not below the folder: rows of strangers may
        name files elsewhere.
    """
    name = row["image"]
    # A link below the folder is its owner's, and may lead elsewhere.
    path = Path(os.path.abspath(folder / name))
    if not path.is_relative_to(os.path.abspath(folder)):
        raise ImageError(f"{name}: is not below {folder}")
    photo = read_image(path)
    if row.get("image_sha256") not in (None, hash_photo(photo)):
        raise ImageError(f"{name}: in {folder} is not the photo that was judged; give its folder")
    return to_uint8(photo)


def read_heatmap(path: Path) -> Heatmap:
    """Read a kept heatmap.

    Raises
    ------
    OutputError
        If it is none.
    """
    try:
        heatmap: Heatmap = read_npy(path)
    except (OSError, ValueError, EOFError) as error:
        raise OutputError(
            f"{path}: is not a heatmap ({tell_reason(error)}); evaluate again to keep it"
        ) from error
    if heatmap.ndim != 2 or heatmap.dtype != np.float32 or not np.isfinite(heatmap).all():
        raise OutputError(f"{path}: is not a heatmap of finite numbers; evaluate again to keep it")
    return heatmap


def read_table(path: Path, title: str, header: tuple[str, ...]) -> Table:
    """Read a table that an evaluation wrote as CSV, with all digits.

    Raises
    ------
    OSError, TextError
        If it cannot be read, or is another table.
    """
    lines = list(csv.reader(io.StringIO(read_text(path, ANNOTATION_BYTES))))
    if not lines or tuple(lines[0]) != header or any(len(line) != len(header) for line in lines):
        raise TextError(f"{path.name} is not the table that evaluate wrote; evaluate again")
    return Table(
        title,
        header,
        tuple(
            tuple(_parse_cell(name, text) for name, text in zip(header, line, strict=True))
            for line in lines[1:]
        ),
    )


def _parse_cell(name: str, text: str) -> Any:
    if name in TEXTS:
        return text
    return None if not text else int(text) if text.isdecimal() else float(text)
