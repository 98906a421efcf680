"""Annotations from COCO's JSON, as `read_items` gives them."""

from __future__ import annotations

import json
from pathlib import Path

from onnxplain.core.data import Box
from onnxplain.study.dataset import read_items


def test_coco_boxes_are_a_corner_and_an_extent(tmp_path: Path):
    path = tmp_path / "instances.json"
    path.write_text(
        json.dumps(
            {
                "images": [{"id": 9, "file_name": "a.jpg", "width": 50, "height": 60}],
                "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
                "annotations": [
                    {"image_id": 9, "category_id": 17, "bbox": [1.5, 2, 10, 20]},
                    {"image_id": 9, "category_id": 18, "bbox": [0, 0, 5, 5]},
                ],
            }
        )
    )
    cat, dog = read_items(tmp_path, path)
    assert (cat.label, cat.boxes, cat.size) == ("cat", (Box(2, 1.5, 22, 11.5),), (60, 50))
    assert (dog.label, dog.boxes) == ("dog", (Box(0, 0, 5, 5),))
