"""Annotations from COCO's JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onnxplain.core.data import Box
from onnxplain.core.text_files import ANNOTATION_BYTES, parse_json, read_text
from onnxplain.study.annotations.entries import Annotation, Notes, check_entry, locate_errors


def read_coco(path: Path, notes: Notes) -> Iterator[Annotation]:
    """Read COCO's annotations: a box is its left and top edge, its width and its height."""
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
        with locate_errors(where):
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
        shown = {key: image[key] for key in ("height", "width")}
        yield check_entry(entry, where, {"bbox": fields.get("bbox"), **shown}, notes)
