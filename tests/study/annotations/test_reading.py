"""Annotations of every format, as `read_items` gives them: what is kept, left out and refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from onnxplain.core.data import Box
from onnxplain.study.dataset import read_items
from tests.helpers.annotations import HEAD, write_coco


def test_folders_are_classes_and_images_beside_them_have_no_label(tmp_path: Path):
    for path in ("n01/x.JPEG", "n02/deep/y.png", "n02/notes.txt", "loose.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    items = read_items(tmp_path)
    assert [(item.file, item.label) for item in items] == [
        ("loose.png", None),
        ("n01/x.JPEG", "n01"),
        ("n02/deep/y.png", "n02"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("none.csv", None, "No such file"),
        ("bare.csv", "file,xmin\na.jpg,1\n", "its columns are 'file', 'xmin'"),
        ("semicolon.csv", "file;class_name\na.jpg;dog\n", "its columns are 'file;class_name'"),
        ("word.csv", "file,class_index\na.jpg,1\na.jpg,many\n", "line 3: class_index"),
        ("short.csv", HEAD + "a.jpg,3,,,0,0\n", "line 2: .* numbers; got"),
        ("half.json", '{"images": []', "cannot be read as labels"),
        ("keys.json", "{}", "no column or key 'categories'"),
        ("empty.csv", HEAD, "no images; give"),
        ("names.csv", HEAD + "a.jpg,3,,cat,,,,,,\na.jpg,3,,dog,,,,,,\n", "class 3 is cat and dog"),
        ("flat.csv", HEAD + "a.jpg,3,,,0,0,9,8,20,0\n", "line 2: width and height must be >= 1"),
        ("nameless.csv", HEAD + ",3,,,0,0,9,8,20,10\n", "line 2: file must name an image"),
        ("parts.csv", HEAD + "a.jpg,3,,,0,.5,.9,.8,20,10\n", r"a.jpg: the boxes lie in \[0, 1\]"),
        ("parts.json", write_coco([0.1, 0.2, 0.5, 0.5]), r"a.jpg: the boxes lie in \[0, 1\]"),
        (
            "sizes.csv",
            HEAD + "a.jpg,3,,,0,0,9,8,20,10\na.jpg,3,,,0,0,9,8,10,20\n",
            "a.jpg: has boxes for 10x20 and for 20x10",
        ),
        ("list.json", "[]", "a COCO file must be an object .* got a list"),
        ("texts.json", '{"categories": ["cat"]}', "cannot be read as labels"),
        ("flat.json", write_coco([1, 2, 3, 4], height=0), "annotation 1: width and height must be"),
        ("edges.json", write_coco([1, 2, 3]), "annotation 1: not enough values"),
        ("image.json", write_coco([1, 2, 3, 4], id=8), "image_id 9 is not an id in the file"),
    ],
)
def test_bad_labels_are_errors_that_name_the_file(
    tmp_path: Path, name: str, text: str | None, problem: str
):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=problem) as caught:
        read_items(tmp_path, path)
    assert name in str(caught.value)


def test_hidden_files_and_folders_are_left_out(tmp_path: Path):
    for path in ("n01/.hidden/h.jpg", "n01/._mac.jpg", ".cache/x.jpg", "n01/folder.jpg/y.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "n01" / "lost.jpg").symlink_to(tmp_path / "nowhere")
    files = [item.file for item in read_items(tmp_path)]
    assert files == ["n01/folder.jpg/y.jpg", "n01/lost.jpg"]


def test_folder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The folder is locked by a patch: the user who runs the tests may read everything."""
    for path in ("n01/a.jpg", "n02/locked/b.jpg"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    scandir = os.scandir

    def refusing(place: str) -> Any:
        if Path(place).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", place)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(ValueError, match=r"locked cannot be read \(Permission denied\)"):
        read_items(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.json", 100_000 * "["),
        ("huge.json", write_coco([1, 2, 10**400, 4])),
        ("size.json", write_coco([1, 2, 3, 4], height=float("inf"))),
        ("field.csv", f"file,class_name\n{'x' * 200_000},a\n"),
        ("folder", 1000 * "<a>" + 1000 * "</a>"),
        ("folder", '<?xml version="1.0" encoding="no-such"?><a/>'),
    ],
)
def test_labels_beyond_the_bounds_are_errors_that_name_the_file(
    tmp_path: Path, name: str, text: str
):
    (tmp_path / "a.jpg").touch()
    source = tmp_path / name
    if name == "folder":
        source.mkdir()
        (source / "a.xml").write_text(text)
    else:
        source.write_text(text)
    with pytest.raises(ValueError, match=name):
        read_items(tmp_path, source)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("nan.csv", HEAD + "a.jpg,3,,,0,nan,9,8,20,10\n", "line 2: a box has finite edges"),
        ("flat.csv", HEAD + "a.jpg,3,,,9,0,9,8,20,10\n", "'xmin': '9'"),
        ("flat.json", write_coco([1, 2, 0, 4]), "annotation 1: a box has"),
        ("infinite.json", write_coco([1, 2, 3, float("inf")]), "annotation 1: a box has"),
        ("none.json", write_coco([]), "annotation 1: has no bbox"),
        ("null.json", write_coco(None), "annotation 1: has no bbox"),
    ],
)
def test_box_that_no_image_can_have_is_left_out_and_counted(
    tmp_path: Path, name: str, text: str, problem: str
):
    (tmp_path / name).write_text(text)
    notices: list[str] = []
    (item,) = read_items(tmp_path, tmp_path / name, notify=notices.append)
    assert (item.file, item.boxes) == ("a.jpg", ())
    (notice,) = notices
    assert f"{name}: 1 of 1 boxes are left out, as " in notice
    assert problem in notice


def test_other_boxes_of_the_image_and_the_set_are_kept(tmp_path: Path):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        HEAD
        + "a.jpg,3,,,0,0,9,8,20,10\na.jpg,3,,,4,4,4,8,20,10\n"
        + "b.jpg,3,,,0,0,.5,.5,20,10\nc.jpg,3,,,0,0,1,1,20,10\n"
    )
    notices: list[str] = []
    a, b, c = read_items(tmp_path, labels, notify=notices.append)
    assert (a.boxes, b.boxes, c.boxes) == ((Box(0, 0, 8, 9),), (), (Box(0, 0, 1, 1),))
    assert "2 of 4 boxes are left out" in notices[0]


def test_boxes_in_parts_of_an_image_of_size_one_are_kept(tmp_path: Path):
    labels = tmp_path / "labels.csv"
    labels.write_text(HEAD + "a.jpg,3,,,0,.25,1,.5,1,1\n")
    (item,) = read_items(tmp_path, labels)
    assert item.boxes_in((40, 80)) == (Box(10, 0, 20, 80),)
