"""The classes of WordNet ids, from a CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from onnxplain.core.text_files import ANNOTATION_BYTES, read_text
from onnxplain.study.annotations.entries import locate_errors


def read_wnids(path: Path) -> dict[str, tuple[int, str | None]]:
    """Read the class index of each WordNet id, and the name of the class if there is one.

    Raises
    ------
    ValueError
        If the file cannot be read, or lacks a column.
    """
    with locate_errors(f"{path}: cannot be read as WordNet ids"):
        return dict(_read_rows(path))


def _read_rows(path: Path) -> Iterator[tuple[str, tuple[int, str | None]]]:
    with io.StringIO(read_text(path, ANNOTATION_BYTES), newline="") as file:
        lines = csv.DictReader(file)
        if not {"wnid", "class_index"} <= set(lines.fieldnames or ()):
            raise ValueError("no column wnid, or no column class_index")
        for line in lines:
            try:
                name = line.get("class_name") or line.get("names") or None
                yield line["wnid"], (int(line["class_index"]), name)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"line {lines.line_num}: class_index must be a whole number, got {dict(line)}"
                ) from error
