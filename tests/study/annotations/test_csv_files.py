"""Annotations from CSV, as `read_items` gives them."""

from __future__ import annotations

from pathlib import Path

from onnxplain.core.data import Box
from onnxplain.study.dataset import Item, read_items
from tests.helpers.annotations import HEAD


def test_boxes_of_an_image_in_a_csv_are_gathered(tmp_path: Path):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        HEAD
        + 'b.jpg,7,n02,"cock, rooster",1,2,30,40,50,60\n'
        + "a.jpg,3,n01,shark,0,0,9,8,20,10\n"
        + 'b.jpg,7,n02,"cock, rooster",5,6,7,8,50,60\n'
    )
    first, second = read_items(tmp_path, labels)
    assert (first.file, first.label, first.path) == ("a.jpg", 3, tmp_path / "a.jpg")
    assert first.boxes == (Box(0, 0, 8, 9),)
    assert (second.label, second.class_name, second.size) == (7, "cock, rooster", (60, 50))
    assert second.boxes == (Box(2, 1, 40, 30), Box(6, 5, 8, 7))


def test_spellings_of_a_path_are_one_image(tmp_path: Path):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        HEAD + "./r/a.jpg,3,,,0,0,9,8,20,10\nr//a.jpg,3,,,1,1,2,2,20,10\nr/a.jpg,3,,,,,,,,\n"
    )
    assert read_items(tmp_path, labels) == [
        Item("r/a.jpg", tmp_path / "r/a.jpg", 3, (Box(0, 0, 8, 9), Box(1, 1, 2, 2)), (10, 20))
    ]


def test_csv_needs_neither_boxes_nor_indices(tmp_path: Path):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,class_name\na.jpg,shark\n")
    assert read_items(tmp_path, labels) == [Item("a.jpg", tmp_path / "a.jpg", "shark")]


def test_image_with_two_classes_is_two_items(tmp_path: Path):
    labels = tmp_path / "labels.csv"
    labels.write_text(HEAD + "a.jpg,3,,,0,0,9,8,20,10\na.jpg,4,,,1,1,2,2,20,10\n")
    assert [(item.label, item.boxes) for item in read_items(tmp_path, labels)] == [
        (3, (Box(0, 0, 8, 9),)),
        (4, (Box(1, 1, 2, 2),)),
    ]
