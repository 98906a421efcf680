"""Annotations as they stand in files."""

from __future__ import annotations

import json

HEAD = "file,class_index,wnid,class_name,xmin,ymin,xmax,ymax,width,height\n"
XML = (
    "<annotation><size><width>{}</width><height>{}</height></size><object><name>n01</name><bndbox>"
    "<xmin>{}</xmin><ymin>1</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"
)


def write_coco(bbox: list[float] | None, **image: object) -> str:
    """Write one annotation of one image."""
    image = {"id": 9, "file_name": "a.jpg", "width": 50, "height": 60} | image
    label = {"image_id": 9, "category_id": 1, "bbox": bbox}
    return json.dumps(
        {"images": [image], "categories": [{"id": 1, "name": "cat"}], "annotations": [label]}
    )
