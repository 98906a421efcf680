"""Annotations of a folder of images, read in whatever format they have, and joined by image."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple
from pathlib import Path

from onnxplain.core.data import Box, Size
from onnxplain.image import PHOTO_SUFFIXES, list_files
from onnxplain.study.annotations.coco import read_coco
from onnxplain.study.annotations.csv_files import read_csv
from onnxplain.study.annotations.entries import Annotation, Notes, locate_errors
from onnxplain.study.annotations.imagenet_xml import read_xml

log = logging.getLogger(__name__)

UNIT: Size = (1, 1)  # the size that goes with boxes in [0, 1]


def read_annotations(
    images: Path, source: Path | None, notify: Callable[[str], None] = log.warning
) -> list[Annotation]:
    """Read the annotations of a folder of images, one per image and class, sorted by file.

    Parameters
    ----------
    images : path
        The folder of the images.
    source : path or None
        A ``.csv``, a folder of ``.xml`` files or a ``.json`` file; None for the names of the
        folders below `images`.
    notify : callable
        Called with a sentence on boxes and photos that are left out.

    Raises
    ------
    ValueError
        If the source cannot be read, a size is impossible, or all boxes lie in [0, 1].
    """
    notes = Notes([], [])
    with locate_errors(f"{source or images}: cannot be read as labels"):
        entries = list(_read_entries(images, source, notes))
        n_boxes = sum(len(entry.boxes) for entry in entries) + len(notes.bad_boxes)
        joined = list(_join_boxes(_refuse_fractions(entries, notes)))
    if notes.bad_boxes:
        notes.others.append(
            f"{source}: {len(notes.bad_boxes)} of {n_boxes} boxes are left out, as "
            f"{notes.bad_boxes[0]}"
        )
    for note in notes.others:
        notify(note)
    return joined


def _read_entries(images: Path, source: Path | None, notes: Notes) -> Iterable[Annotation]:
    if source is None:
        return _read_folders(images)
    if source.is_dir():
        return read_xml(images, source, notes)
    if source.suffix.lower() == ".json":
        return read_coco(source, notes)
    return read_csv(source, notes)


def _refuse_fractions(entries: Iterable[Annotation], notes: Notes) -> Iterator[Annotation]:
    """Yield the entries without boxes inside the first pixel; if all are, they are no pixels.

    Raises
    ------
    ValueError
        If every box lies in [0, 1].
    """
    entries = list(entries)
    in_pixels = [entry for entry in entries if entry.boxes and entry.size != UNIT]
    boxes = [box for entry in in_pixels for box in entry.boxes]
    if boxes and all(_is_within_one(box) for box in boxes):
        raise ValueError(
            f"{in_pixels[0].file}: the boxes lie in [0, 1] and are parts of the image, as "
            f"{boxes[0]}; give them in pixels, or a width and height of 1 for boxes in [0, 1]"
        )
    for entry in entries:
        small = [box for box in entry.boxes if _is_within_one(box) and not _is_whole(box)]
        if not small or entry.size == UNIT:
            yield entry
            continue
        notes.bad_boxes.extend(f"{entry.file}: {box} is less than a pixel" for box in small)
        yield entry._replace(boxes=tuple(box for box in entry.boxes if box not in small))


def _is_within_one(box: Box) -> bool:
    """Return whether a box lies in [0, 1]; if pixels count from 1, it starts in [-1, 0]."""
    return min(box.top, box.left) >= -1 and max(box.bottom, box.right) <= 1


def _is_whole(box: Box) -> bool:
    return all(float(edge).is_integer() for edge in astuple(box))


def _join_boxes(entries: Iterable[Annotation]) -> Iterator[Annotation]:
    """Yield one annotation per image and class, with all its boxes."""
    boxes: dict[tuple[str, int | str | None], tuple[Box, ...]] = {}
    names: dict[tuple[str, int | str | None], str | None] = {}
    sizes: dict[str, Size | None] = {}
    boxed: dict[str, Size | None] = {}
    for entry in entries:
        key = entry.file, entry.label
        boxes[key] = boxes.get(key, ()) + entry.boxes
        name = names.setdefault(key, entry.class_name)
        if name != entry.class_name:
            raise ValueError(f"{entry.file}: class {entry.label} is {name} and {entry.class_name}")
        if entry.boxes and boxed.setdefault(entry.file, entry.size) != entry.size:
            raise ValueError(
                f"{entry.file}: has boxes for {_format_size(boxed[entry.file])} and for "
                f"{_format_size(entry.size)} (rows x columns); an image has one size"
            )
        sizes[entry.file] = boxed.get(entry.file, entry.size)
    for key in sorted(boxes, key=lambda key: (key[0], str(key[1]))):
        yield Annotation(*key, boxes[key], sizes[key[0]], names[key])


def _format_size(size: Size | None) -> str:
    return "no size" if size is None else f"{size[0]}x{size[1]}"


def _read_folders(images: Path) -> Iterator[Annotation]:
    for path in list_files(images, PHOTO_SUFFIXES):
        below = path.relative_to(images)
        yield Annotation(below.as_posix(), below.parts[0] if len(below.parts) > 1 else None)
