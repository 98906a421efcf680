"""How images were classified, counted from rows."""

from __future__ import annotations

from typing import Any

from onnxplain.study.columns import gather_values
from onnxplain.study.rows import Row
from onnxplain.study.verdicts import Verdicts
from tests.study.conftest import make_score


def make_image(image: int, status: str, **fields: Any) -> Row:
    """Make a row that says how an image is classified."""
    names = ("model", "model_sha256", "preprocessing", "target")
    settings = {name: make_score(image, 1.0)[name] for name in names}
    labelled = {"image": f"{image}.png", "labelled": True}
    return {"kind": "image", "status": status, **settings, **labelled, **fields}


def count(*rows: Row) -> dict[str, str]:
    verdicts = Verdicts()
    for row in rows:
        verdicts.add(row)
    return {name: str(counts) for name, counts in verdicts.count_by_name().items()}


def test_images_without_a_label_are_neither_right_nor_wrong():
    rows = [make_image(0, "done"), make_image(1, "done", labelled=False), make_image(2, "wrong")]
    assert count(*rows) == {
        "net": "images classified correctly: 1, wrongly: 1, failed: 0; without a label, explained "
        "for the predicted class: 1"
    }


def test_one_file_with_two_preprocessings_is_two_classifiers():
    first, second = ({"preprocessing": {"crop": crop}} for crop in (1.0, 0.9))
    rows = [make_image(0, "done", **first), make_image(0, "wrong", **second)]
    assert count(*rows) == {
        "net (crop=1.0)": "images classified correctly: 1, wrongly: 0, failed: 0",
        "net (crop=0.9)": "images classified correctly: 0, wrongly: 1, failed: 0",
    }


def test_photo_that_was_mended_has_not_failed_whichever_row_comes_last():
    rows = [make_image(0, "error"), make_image(0, "done")]
    expected = {"net": "images classified correctly: 1, wrongly: 0, failed: 0"}
    assert count(*rows) == count(*reversed(rows)) == expected


def test_images_that_cannot_be_read_are_failed_in_every_column_of_their_classifier():
    rows = [
        *(make_image(0, "done"), make_image(1, "error"), make_image(2, "error")),
        make_image(2, "done", model="other"),
        *(make_score(0, 1.0, method) for method in ("sp", "rise")),
        make_score(0, None, metric="pointing", status="error"),
        make_score(2, 1.0, model="other"),
    ]
    columns = gather_values(rows, share=0, seed=0)
    assert {column[:3]: (column.n_failed, column.n_undefined) for column in columns} == {
        ("net", "deletion", "sp"): (2, 0),
        ("net", "deletion", "rise"): (2, 0),
        ("net", "pointing", "sp"): (3, 0),
        ("other", "deletion", "sp"): (0, 0),
    }
