"""Annotations of a folder of images: names of folders, CSV, ImageNet's XML and COCO's JSON."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from onnxplain.core.data import Box, Size
from onnxplain.core.errors import tell_reason
from onnxplain.core.text_files import (
    ANNOTATION_BYTES,
    parse_json,
    parse_xml,
    read_bytes,
    read_text,
)
from onnxplain.image import PHOTO_SUFFIXES, list_files
from onnxplain.study.pairing import pair_by_path

log = logging.getLogger(__name__)

UNIT: Size = (1, 1)  # the size that goes with boxes in [0, 1]

_EDGES = ("xmin", "ymin", "xmax", "ymax")


class Annotation(NamedTuple):
    """What one entry of the annotations says about one image.

    Parameters
    ----------
    file : str
        Path below the folder of images, with forward slashes.
    label : int, str or None
        Index or name of the class; None if it is not known.
    boxes : tuple of Box
        Where objects of the class are, in pixels of an image of the size `size`.
    size : (rows, columns), optional
        Size of the image that the boxes were drawn on.
    class_name : str, optional
        Name that the entry gives to the class of the index.
    """

    file: str
    label: int | str | None
    boxes: tuple[Box, ...] = ()
    size: Size | None = None
    class_name: str | None = None


class _Notes(NamedTuple):
    """What is odd about annotations that can be used all the same."""

    bad_boxes: list[str]  # what is wrong with each box that is left out
    others: list[str]


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
    notes = _Notes([], [])
    with _locate_errors(f"{source or images}: cannot be read as labels"):
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


def read_wnids(path: Path) -> dict[str, tuple[int, str | None]]:
    """Read the class index of each WordNet id, and the name of the class if there is one.

    Raises
    ------
    ValueError
        If the file cannot be read, or lacks a column.
    """
    with _locate_errors(f"{path}: cannot be read as WordNet ids"):
        return dict(_read_wnid_rows(path))


def _read_entries(images: Path, source: Path | None, notes: _Notes) -> Iterable[Annotation]:
    if source is None:
        return _read_folders(images)
    if source.is_dir():
        return _read_xml(images, source, notes)
    if source.suffix.lower() == ".json":
        return _read_coco(source, notes)
    return _read_csv(source, notes)


def _refuse_fractions(entries: Iterable[Annotation], notes: _Notes) -> Iterator[Annotation]:
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


def _read_csv(path: Path, notes: _Notes) -> Iterator[Annotation]:
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
                boxes = (_read_box(line),) if line.get("xmin") else ()
                size = (int(line["height"]), int(line["width"])) if line.get("width") else None
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{where}: class_index, width and height must be whole numbers, and "
                    f"xmin, ymin, xmax, ymax numbers; got {dict(line)}"
                ) from error
            entry = Annotation(line["file"], label, boxes, size, name)
            yield _check_entry(entry, where, dict(line), notes)


def _read_label(line: Mapping[str, str | None]) -> tuple[int | str | None, str | None]:
    """Return the label of a line; also return the class's name if the label is an index."""
    if index := line.get("class_index"):
        return int(index), line.get("class_name") or None
    return line["class_name"], None


def _read_folders(images: Path) -> Iterator[Annotation]:
    for path in list_files(images, PHOTO_SUFFIXES):
        below = path.relative_to(images)
        yield Annotation(below.as_posix(), below.parts[0] if len(below.parts) > 1 else None)


def _read_xml(images: Path, folder: Path, notes: _Notes) -> Iterator[Annotation]:
    """Read ImageNet's annotations: they count pixels from 1, and the last pixel is inside."""
    photos = [path.relative_to(images).as_posix() for path in list_files(images, PHOTO_SUFFIXES)]
    files = [path.relative_to(folder).as_posix() for path in list_files(folder, {".xml"})]
    pairs = pair_by_path(photos, files, lambda file: _read_photo_name(folder / file))
    if bare := len(photos) - len(pairs):
        notes.others.append(f"{folder}: {bare} of {len(photos)} photos have no .xml file in it")
    for where, photo in pairs.items():
        with _locate_errors(where):
            root = parse_xml(read_bytes(folder / where))
            sides = (
                int(_read_text(root, "size/height")),
                int(_read_text(root, "size/width")),
            )
            size = sides if any(sides) else None  # some tools write 0 x 0 for an unknown size
        shown = {"height": sides[0], "width": sides[1]}
        for element in root.iter("object"):
            with _locate_errors(where):
                label = _read_text(element, "name")
                if element.find("bndbox") is None:
                    notes.bad_boxes.append(f"{where}: an object has no bndbox")
                    yield _check_entry(Annotation(photo, label, (), size), where, shown, notes)
                    continue
                edges = {name: _read_text(element, f"bndbox/{name}") for name in _EDGES}
                drawn = _read_box(edges)
            box = Box(drawn.top - 1, drawn.left - 1, drawn.bottom, drawn.right)
            entry = Annotation(photo, label, (box,), size)
            yield _check_entry(entry, where, {**edges, **shown}, notes)


def _read_photo_name(path: Path) -> tuple[str, str]:
    """Read the folder and the name that an annotation file gives its photo, where it can."""
    try:
        root = parse_xml(read_bytes(path))
    except (OSError, ValueError, LookupError, ElementTree.ParseError):
        return "", ""
    folder, name = (
        (root.findtext(key) or "").strip().replace("\\", "/").rstrip("/").rpartition("/")[2]
        for key in ("folder", "filename")
    )
    return folder, name


def _read_coco(path: Path, notes: _Notes) -> Iterator[Annotation]:
    content = parse_json(read_text(path, ANNOTATION_BYTES), finite=False)
    if not isinstance(content, dict):
        raise TypeError(
            f"a COCO file must be an object with images, categories and annotations, got a "
            f"{type(content).__name__}"
        )
    names = {category["id"]: category["name"] for category in content["categories"]}
    images = {image["id"]: image for image in content["images"]}
    for number, fields in enumerate(content["annotations"], 1):
        where = f"annotation {number}"
        with _locate_errors(where):
            for key, known in (("image_id", images), ("category_id", names)):
                if fields[key] not in known:
                    raise ValueError(f"its {key} {fields[key]!r} is not an id in the file")
            image = images[fields["image_id"]]
            boxes: tuple[Box, ...] = ()
            if fields.get("bbox"):
                left, top, width, height = map(float, fields["bbox"])
                boxes = (Box(top, left, top + height, left + width),)
            else:
                notes.bad_boxes.append(f"{where}: has no bbox")
            size = (int(image["height"]), int(image["width"]))
            entry = Annotation(image["file_name"], names[fields["category_id"]], boxes, size)
        shown = {
            "bbox": fields.get("bbox"),
            **{"height": image["height"], "width": image["width"]},
        }
        yield _check_entry(entry, where, shown, notes)


def _read_wnid_rows(path: Path) -> Iterator[tuple[str, tuple[int, str | None]]]:
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


def _read_box(edges: Mapping[str, Any]) -> Box:
    left, top, right, bottom = (float(edges[name]) for name in _EDGES)
    return Box(top, left, bottom, right)


def _check_entry(
    entry: Annotation, where: str, shown: Mapping[str, Any], notes: _Notes
) -> Annotation:
    """Return an entry without boxes that no image can have; they may reach beyond the image."""
    if not entry.file:
        raise ValueError(f"{where}: file must name an image, but is empty; got {shown}")
    if entry.size is not None and min(entry.size) < 1:
        raise ValueError(f"{where}: width and height must be >= 1, got {shown}")
    good = tuple(box for box in entry.boxes if _is_box(box))
    if len(good) == len(entry.boxes):
        return entry
    notes.bad_boxes.append(
        f"{where}: a box has finite edges, the left before the right one and the top "
        f"before the bottom one; got {shown}"
    )
    return entry._replace(boxes=good)


def _is_box(box: Box) -> bool:
    finite = all(map(math.isfinite, astuple(box)))
    return finite and box.left < box.right and box.top < box.bottom


@contextmanager
def _locate_errors(where: str) -> Iterator[None]:
    """Begin the message of an error in the block with the file or entry that caused it."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{where}: no column or key {error}") from error
    except (*(OSError, ValueError, TypeError, AttributeError, OverflowError, csv.Error),) as error:
        raise ValueError(f"{where}: {tell_reason(error)}") from error


def _read_text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"an annotation has no {path}")
    return text
