"""Annotations from CSV, one box per line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from onnxplain.core.text_files import ANNOTATION_BYTES, read_text
from onnxplain.study.annotations.entries import Annotation, Notes, check_entry, read_box


def read_csv(path: Path, notes: Notes) -> Iterator[Annotation]:
    """Read the annotations of a CSV; a file or class may stand in several lines."""
    with io.StringIO(read_text(path, ANNOTATION_BYTES), newline="") as file:
        lines = csv.DictReader(file)
        columns = lines.fieldnames or []
        if "file" not in columns or not {"class_index", "class_name"} & set(columns):
            raise ValueError(
                f"it needs the column file, and class_index or class_name, separated by commas; "
                f"its columns are {', '.join(map(repr, columns)) or 'none'}"
            )
        for line in lines:
            where = f"line {lines.line_num}"
            try:
                label, name = _read_label(line)
                boxes = (read_box(line),) if line.get("xmin") else ()
                size = (int(line["height"]), int(line["width"])) if line.get("width") else None
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{where}: class_index, width and height must be whole numbers, and "
                    f"xmin, ymin, xmax, ymax numbers; got {dict(line)}"
                ) from error
            entry = Annotation(line["file"], label, boxes, size, name)
            yield check_entry(entry, where, dict(line), notes)


def _read_label(line: Mapping[str, str | None]) -> tuple[int | str | None, str | None]:
    """Return the label of a line; also return the class's name if the label is an index."""
    if index := line.get("class_index"):
        return int(index), line.get("class_name") or None
    return line["class_name"], None
