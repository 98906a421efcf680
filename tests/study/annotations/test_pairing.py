"""Annotation files find their photo by path, by name, or not at all."""

from __future__ import annotations

import pytest

from onnxplain.study.annotations.pairing import pair_by_path


def name_nothing(path: str) -> tuple[str, str]:
    return "", ""


@pytest.mark.parametrize(
    ("photos", "annotations", "pairs"),
    [
        (["red/0.png", "blue/0.png"], ["red/0.xml"], {"red/0.xml": "red/0.png"}),
        (["val/a.JPEG"], ["a.xml", "b.xml"], {"a.xml": "val/a.JPEG"}),
        (["a.jpg"], ["deep/a.xml"], {"deep/a.xml": "a.jpg"}),
        (["t/n1/a.jpg", "t/n2/a.jpg"], ["n2/a.xml"], {"n2/a.xml": "t/n2/a.jpg"}),
        # The annotations of blue/0 are not those of red/0, whose folder they have.
        (["red/0.png"], ["red/1.xml", "blue/0.xml"], {}),
    ],
)
def test_paths_decide_where_they_can(photos, annotations, pairs):
    assert pair_by_path(photos, annotations, name_nothing) == pairs


def test_names_in_the_annotations_decide_where_paths_do_not():
    names = {"0.xml": ("red", "0.png"), "x.xml": ("", "one.jpg"), "y.xml": ("val", "b")}
    photos = ["red/0.png", "blue/0.png", "blue/one.jpg", "val/b.jpg", "val/c.jpg"]
    assert pair_by_path(photos, list(names), names.__getitem__) == {
        "0.xml": "red/0.png",
        "x.xml": "blue/one.jpg",
    }
    ending = {"0.xml": ("", "0.jpg")}
    assert pair_by_path(["0.jpg", "0.png"], ["0.xml"], ending.__getitem__) == {"0.xml": "0.jpg"}


@pytest.mark.parametrize(
    ("photos", "annotations", "problem"),
    [
        (["red/0.png", "blue/0.png"], ["0.xml"], "0.xml: may belong to red/0.png, blue/0.png"),
        (["a/0.png", "a/0.jpg"], ["a/0.xml"], "a/0.xml: may belong to a/0.png, a/0.jpg"),
        (["0.png"], ["red/0.xml", "blue/0.xml"], "red/0.xml and blue/0.xml would both belong to"),
    ],
)
def test_error_where_nothing_says_which_photo_is_meant(photos, annotations, problem):
    with pytest.raises(ValueError, match=problem):
        pair_by_path(photos, annotations, name_nothing)
