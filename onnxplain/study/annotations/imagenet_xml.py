"""Annotations from a folder of ImageNet's XML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from onnxplain.core.data import Box
from onnxplain.core.text_files import parse_xml, read_bytes
from onnxplain.image import PHOTO_SUFFIXES, list_files
from onnxplain.study.annotations.entries import (
    EDGES,
    Annotation,
    Notes,
    check_entry,
    locate_errors,
    read_box,
)
from onnxplain.study.annotations.pairing import pair_by_path


def read_xml(images: Path, folder: Path, notes: Notes) -> Iterator[Annotation]:
    """Read ImageNet's annotations: they count pixels from 1, and the last pixel is inside."""
    photos = [path.relative_to(images).as_posix() for path in list_files(images, PHOTO_SUFFIXES)]
    files = [path.relative_to(folder).as_posix() for path in list_files(folder, {".xml"})]
    pairs = pair_by_path(photos, files, lambda file: _read_photo_name(folder / file))
    if bare := len(photos) - len(pairs):
        notes.others.append(f"{folder}: {bare} of {len(photos)} photos have no .xml file in it")
    for where, photo in pairs.items():
        with locate_errors(where):
            root = parse_xml(read_bytes(folder / where))
            sides = int(_read_text(root, "size/height")), int(_read_text(root, "size/width"))
            size = sides if any(sides) else None  # some tools write 0 x 0 for an unknown size
        shown = {"height": sides[0], "width": sides[1]}
        for element in root.iter("object"):
            edges: dict[str, str] = {}
            boxes: tuple[Box, ...] = ()
            with locate_errors(where):
                label = _read_text(element, "name")
                if element.find("bndbox") is None:
                    notes.bad_boxes.append(f"{where}: an object has no bndbox")
                else:
                    edges = {name: _read_text(element, f"bndbox/{name}") for name in EDGES}
                    drawn = read_box(edges)
                    boxes = (Box(drawn.top - 1, drawn.left - 1, drawn.bottom, drawn.right),)
            entry = Annotation(photo, label, boxes, size)
            yield check_entry(entry, where, {**edges, **shown}, notes)


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


def _read_text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"an annotation has no {path}")
    return text
