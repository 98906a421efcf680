"""Labelled images: from a folder and what describes it to a list of items."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from xml.etree import ElementTree

from onnxplain.core.data import Box, Size

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2", ".avif")
)


@dataclass(frozen=True)
class Item:
    """One image and one class that it shows.

    Parameters
    ----------
    file : str
        Path below the folder of images, with forward slashes.
    path : Path
        Where the image is.
    label : int, str or None
        Index or name of the class; None if nobody says what the image shows.
    boxes : tuple of Box
        Where objects of the class are, in pixels of an image of the size `size`.
    size : (rows, columns), optional
        Size of the image that the boxes were drawn on; that of the file if not given.
    class_name : str, optional
        What the annotations call the class of an index, to see that the classifier means it.
    """

    file: str
    path: Path
    label: int | str | None
    boxes: tuple[Box, ...] = ()
    size: Size | None = None
    class_name: str | None = None

    def boxes_in(self, size: Size) -> tuple[Box, ...]:
        """The boxes in pixels of the image at another size."""
        rows, columns = self.size or size
        y, x = size[0] / rows, size[1] / columns
        return tuple(Box(b.top * y, b.left * x, b.bottom * y, b.right * x) for b in self.boxes)


def read_items(
    images: Path, annotations: Path | None = None, wnids: Path | None = None
) -> list[Item]:
    """Read which images there are and what they show.

    Parameters
    ----------
    images : path
        The folder of the images.
    annotations : path, optional
        A ``.csv`` with a row for each box: ``file``, ``class_index`` or ``class_name``, or
        both (`onnxplain.study.run.find_known_items` compares them), and if there are boxes
        ``xmin, ymin, xmax, ymax`` with the ``width, height`` of the image that they were
        drawn on; a folder of ImageNet's ``.xml`` files; or COCO's ``.json``. Without it
        every folder below `images` is a class and holds its images, and images beside those
        folders have no label. Hidden files and folders are not looked at.
    wnids : path, optional
        A ``.csv`` with the columns ``wnid`` and ``class_index``, and ``class_name`` or
        ``names`` if it likes, for labels that are WordNet ids, such as those of ImageNet's
        folders and ``.xml`` files.

    Returns
    -------
    items : list of Item
        One an image and class, sorted by file.

    Raises
    ------
    ValueError
        If something cannot be read, a box or a size is impossible, or there are no items.
    """
    if not images.is_dir():
        raise ValueError(f"{images}: is no folder of images")
    with _naming(f"{annotations or images}: not readable labels"):
        found = list(_grouped(_rows(images, annotations)))
    with _naming(f"{wnids}: not readable WordNet ids"):
        index = _read_wnids(wnids) if wnids else {}
    if not found:
        raise ValueError(
            f"{annotations or images}: no images; give a folder with images in it, or with one "
            f"folder of images a class, or --annotations that name some"
        )
    items = []
    for one in found:
        label, name = index.get(str(one.label), (one.label, one.class_name))
        items.append(Item(one.file, images / one.file, label, one.boxes, one.size, name))
    return items


def draw_sample(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """So many of the items, drawn by the seed; a larger sample holds the smaller one.

    The draw of an item depends on the seed, its file and its label alone.
    """
    if limit is None:
        return list(items)
    drawn = sorted(items, key=lambda item: draw(seed, "sample", item.file, str(item.label)))
    return drawn[:limit]


def is_held_out(file: str, share: float, seed: int) -> bool:
    """Whether an image belongs to the part on which thresholds are chosen.

    Each image does with the probability `share`, whatever other images there are.
    """
    return draw(seed, "held-out", file) < share


def draw(seed: int, *names: str) -> float:
    """A number in [0, 1) that depends on the seed and the names alone."""
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


class _Row(NamedTuple):
    """What an entry says of one image; the size is that which the boxes were drawn on."""

    file: str
    label: int | str | None
    boxes: tuple[Box, ...] = ()
    size: Size | None = None
    class_name: str | None = None


def _rows(images: Path, annotations: Path | None) -> Iterable[_Row]:
    if annotations is None:
        return _read_folders(images)
    if annotations.is_dir():
        return _read_xml(images, annotations)
    if annotations.suffix.lower() == ".json":
        return _read_coco(annotations)
    return _read_csv(annotations)


def _grouped(rows: Iterable[_Row]) -> Iterator[_Row]:
    """One row an image and class, with all its boxes."""
    boxes: dict[tuple[str, int | str | None], tuple[Box, ...]] = {}
    names: dict[tuple[str, int | str | None], str | None] = {}
    sizes: dict[str, Size | None] = {}
    for one in rows:
        key = one.file, one.label
        boxes[key] = boxes.get(key, ()) + one.boxes
        name = names.setdefault(key, one.class_name)
        if name != one.class_name:
            raise ValueError(f"{one.file}: class {one.label} is {name} and {one.class_name}")
        sizes[one.file] = one.size
    for key in sorted(boxes, key=lambda key: (key[0], str(key[1]))):
        yield _Row(*key, boxes[key], sizes[key[0]], names[key])


def _read_csv(path: Path) -> Iterator[_Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        columns = rows.fieldnames or []
        if "file" not in columns or not {"class_index", "class_name"} & set(columns):
            raise ValueError(
                f"it needs the columns file and class_index or class_name, parted by commas; its "
                f"columns are {', '.join(map(repr, columns)) or 'none'}"
            )
        for row in rows:
            where = f"line {rows.line_num}"
            try:
                label, name = _label(row)
                boxes = (_box(row),) if row.get("xmin") else ()
                size = (int(row["height"]), int(row["width"])) if row.get("width") else None
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{where}: class_index, width and height are whole numbers, and "
                    f"xmin, ymin, xmax, ymax numbers; got {dict(row)}"
                ) from error
            yield _checked(_Row(row["file"], label, boxes, size, name), where, dict(row))


def _label(row: Mapping[str, str | None]) -> tuple[int | str | None, str | None]:
    """The class of a row, and what it calls that if it is an index."""
    if index := row.get("class_index"):
        return int(index), row.get("class_name") or None
    return row["class_name"], None


def _read_folders(images: Path) -> Iterator[_Row]:
    for path in _files(images, SUFFIXES):
        below = path.relative_to(images)
        yield _Row(below.as_posix(), below.parts[0] if len(below.parts) > 1 else None)


def _read_xml(images: Path, folder: Path) -> Iterator[_Row]:
    """ImageNet's annotations: pixels are counted from one, and the last one is inside."""
    files = {path.stem: path.relative_to(images).as_posix() for path in _files(images, SUFFIXES)}
    for path in _files(folder, {".xml"}):
        if path.stem not in files:
            continue
        where = str(path.relative_to(folder))
        with _naming(where):
            root = ElementTree.parse(path).getroot()
            sides = (int(_text(root, "size/height")), int(_text(root, "size/width")))
            size = sides if any(sides) else None  # some tools write 0 x 0 for one they do not know
        for one in root.iter("object"):
            with _naming(where):
                label = _text(one, "name")
                edges = {name: _text(one, f"bndbox/{name}") for name in _EDGES}
                b = _box(edges)
            box = Box(b.top - 1, b.left - 1, b.bottom, b.right)
            given = {**edges, "height": sides[0], "width": sides[1]}
            yield _checked(_Row(files[path.stem], label, (box,), size), where, given)


def _read_coco(path: Path) -> Iterator[_Row]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise TypeError(
            f"COCO's file is an object of images, categories and annotations, and it is a "
            f"{type(content).__name__}"
        )
    names = {one["id"]: one["name"] for one in content["categories"]}
    images = {one["id"]: one for one in content["images"]}
    for number, one in enumerate(content["annotations"], 1):
        where = f"annotation {number}"
        with _naming(where):
            for key, known in (("image_id", images), ("category_id", names)):
                if one[key] not in known:
                    raise ValueError(f"its {key} {one[key]!r} is the id of none of the file's")
            image = images[one["image_id"]]
            left, top, width, height = map(float, one["bbox"])
            box = Box(top, left, top + height, left + width)
            size = (int(image["height"]), int(image["width"]))
            row = _Row(image["file_name"], names[one["category_id"]], (box,), size)
        given = {"bbox": one["bbox"], "height": image["height"], "width": image["width"]}
        yield _checked(row, where, given)


def _read_wnids(path: Path) -> dict[str, tuple[int, str | None]]:
    """The index of each WordNet id, and what the file calls that class."""
    found = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not {"wnid", "class_index"} <= set(rows.fieldnames or ()):
            raise ValueError("no column wnid, or none class_index")
        for row in rows:
            try:
                name = row.get("class_name") or row.get("names") or None
                found[row["wnid"]] = int(row["class_index"]), name
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"line {rows.line_num}: class_index is a whole number, got {dict(row)}"
                ) from error
    return found


_EDGES = ("xmin", "ymin", "xmax", "ymax")


def _box(row: Mapping[str, Any]) -> Box:
    left, top, right, bottom = (float(row[name]) for name in _EDGES)
    return Box(top, left, bottom, right)


def _checked(row: _Row, where: str, given: Mapping[str, Any]) -> _Row:
    """The row, if an image can have such boxes; they may reach beyond it."""
    if not row.file:
        raise ValueError(f"{where}: file is empty; it names an image; got {given}")
    if row.size is not None and min(row.size) < 1:
        raise ValueError(f"{where}: width and height must be >= 1, got {given}")
    for box in row.boxes:
        finite = all(map(math.isfinite, astuple(box)))
        if not (finite and box.left < box.right and box.top < box.bottom):
            raise ValueError(
                f"{where}: a box has finite edges, the left before the right one and the top "
                f"before the bottom one; got {given}"
            )
    return row


def _files(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """The files below a folder that end so; hidden ones are the system's and not the user's."""
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [one for one in folders if not one.startswith(".")]
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            # What cannot be followed is told like a photo that cannot be read, a pipe is not read.
            is_file = path.is_file() or not path.exists()
            if is_file and path.suffix.lower() in suffixes:
                yield path


def _refuse(error: OSError) -> NoReturn:
    raise ValueError(
        f"the folder {error.filename} cannot be read ({error.strerror}); make it readable, or "
        f"move it elsewhere"
    ) from error


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Tell in which file or entry something cannot be read."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{where}: no column or key {error}") from error
    except (
        *(OSError, ValueError, TypeError, AttributeError, OverflowError),
        *(csv.Error, ElementTree.ParseError),
    ) as error:
        raise ValueError(f"{where}: {error}") from error


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"an annotation has no {path}")
    return text
