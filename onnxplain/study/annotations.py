"""Annotations of a folder of images: names of folders, CSV, ImageNet's XML and COCO's JSON."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from xml.etree import ElementTree

from onnxplain.core.data import Box, Size

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2", ".avif")
)

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


def read_annotations(images: Path, source: Path | None) -> list[Annotation]:
    """Read the annotations of a folder of images, one per image and class, sorted by file.

    Parameters
    ----------
    images : path
        The folder of the images.
    source : path or None
        A ``.csv``, a folder of ``.xml`` files or a ``.json`` file; None for the names of the
        folders below `images`.

    Raises
    ------
    ValueError
        If the source cannot be read, or a box or a size is impossible.
    """
    with _locate_errors(f"{source or images}: cannot be read as labels"):
        return list(_join_boxes(_read_entries(images, source)))


def read_wnids(path: Path) -> dict[str, tuple[int, str | None]]:
    """Read the class index of each WordNet id, and the name of the class if there is one.

    Raises
    ------
    ValueError
        If the file cannot be read, or lacks a column.
    """
    with _locate_errors(f"{path}: cannot be read as WordNet ids"):
        return dict(_read_wnid_rows(path))


def _read_entries(images: Path, source: Path | None) -> Iterable[Annotation]:
    if source is None:
        return _read_folders(images)
    if source.is_dir():
        return _read_xml(images, source)
    if source.suffix.lower() == ".json":
        return _read_coco(source)
    return _read_csv(source)


def _join_boxes(entries: Iterable[Annotation]) -> Iterator[Annotation]:
    """Yield one annotation per image and class, with all its boxes."""
    boxes: dict[tuple[str, int | str | None], tuple[Box, ...]] = {}
    names: dict[tuple[str, int | str | None], str | None] = {}
    sizes: dict[str, Size | None] = {}
    for entry in entries:
        key = entry.file, entry.label
        boxes[key] = boxes.get(key, ()) + entry.boxes
        name = names.setdefault(key, entry.class_name)
        if name != entry.class_name:
            raise ValueError(
                f"{entry.file}: class {entry.label} has two names, {name} and {entry.class_name}"
            )
        sizes[entry.file] = entry.size
    for key in sorted(boxes, key=lambda key: (key[0], str(key[1]))):
        yield Annotation(*key, boxes[key], sizes[key[0]], names[key])


def _read_csv(path: Path) -> Iterator[Annotation]:
    with path.open(newline="", encoding="utf-8-sig") as file:
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
            _check_entry(entry, where, dict(line))
            yield entry


def _read_label(line: Mapping[str, str | None]) -> tuple[int | str | None, str | None]:
    """Return the label of a line; also return the class's name if the label is an index."""
    if index := line.get("class_index"):
        return int(index), line.get("class_name") or None
    return line["class_name"], None


def _read_folders(images: Path) -> Iterator[Annotation]:
    for path in _list_files(images, SUFFIXES):
        below = path.relative_to(images)
        yield Annotation(below.as_posix(), below.parts[0] if len(below.parts) > 1 else None)


def _read_xml(images: Path, folder: Path) -> Iterator[Annotation]:
    """Read ImageNet's annotations, which count pixels from 1 and include the last pixel."""
    files = {
        path.stem: path.relative_to(images).as_posix() for path in _list_files(images, SUFFIXES)
    }
    for path in _list_files(folder, {".xml"}):
        if path.stem not in files:
            continue
        where = str(path.relative_to(folder))
        with _locate_errors(where):
            root = ElementTree.parse(path).getroot()
            sides = (
                int(_read_text(root, "size/height")),
                int(_read_text(root, "size/width")),
            )
            size = sides if any(sides) else None  # some tools write 0 x 0 for an unknown size
        for element in root.iter("object"):
            with _locate_errors(where):
                label = _read_text(element, "name")
                edges = {name: _read_text(element, f"bndbox/{name}") for name in _EDGES}
                drawn = _read_box(edges)
            box = Box(drawn.top - 1, drawn.left - 1, drawn.bottom, drawn.right)
            entry = Annotation(files[path.stem], label, (box,), size)
            _check_entry(entry, where, {**edges, "height": sides[0], "width": sides[1]})
            yield entry


def _read_coco(path: Path) -> Iterator[Annotation]:
    content = json.loads(path.read_text(encoding="utf-8"))
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
            left, top, width, height = map(float, fields["bbox"])
            box = Box(top, left, top + height, left + width)
            size = (int(image["height"]), int(image["width"]))
            entry = Annotation(image["file_name"], names[fields["category_id"]], (box,), size)
        shown = {"bbox": fields["bbox"], "height": image["height"], "width": image["width"]}
        _check_entry(entry, where, shown)
        yield entry


def _read_wnid_rows(path: Path) -> Iterator[tuple[str, tuple[int, str | None]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
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


def _check_entry(entry: Annotation, where: str, shown: Mapping[str, Any]) -> None:
    """Check that the boxes and the size are possible; boxes may reach beyond the image."""
    if not entry.file:
        raise ValueError(f"{where}: file must name an image, but is empty; got {shown}")
    if entry.size is not None and min(entry.size) < 1:
        raise ValueError(f"{where}: width and height must be >= 1, got {shown}")
    for box in entry.boxes:
        finite = all(map(math.isfinite, astuple(box)))
        if not (finite and box.left < box.right and box.top < box.bottom):
            raise ValueError(
                f"{where}: a box must have finite edges, the left before the right and the top "
                f"before the bottom; got {shown}"
            )


def _list_files(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """Yield the files below a folder that have one of the suffixes, without hidden files."""
    for place, folders, names in os.walk(folder, onerror=_raise_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            # Broken links are included, so that they are reported as unreadable; pipes are not.
            is_file = path.is_file() or not path.exists()
            if is_file and path.suffix.lower() in suffixes:
                yield path


def _raise_unreadable(error: OSError) -> NoReturn:
    raise ValueError(
        f"the folder {error.filename} cannot be read ({error.strerror}); make it readable, or "
        f"move it elsewhere"
    ) from error


@contextmanager
def _locate_errors(where: str) -> Iterator[None]:
    """Begin the message of an error in the block with the file or entry that caused it."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{where}: no column or key {error}") from error
    except (
        *(OSError, ValueError, TypeError, AttributeError, OverflowError),
        *(csv.Error, ElementTree.ParseError),
    ) as error:
        raise ValueError(f"{where}: {error}") from error


def _read_text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"an annotation has no {path}")
    return text
