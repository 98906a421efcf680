"""Annotations from CSV, folders, ImageNet's XML and COCO's JSON, as `read_items` gives them."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from onnxplain.core.data import Box
from onnxplain.study.dataset import Item, read_items

HEAD = "file,class_index,wnid,class_name,xmin,ymin,xmax,ymax,width,height\n"


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


def test_imagenet_counts_pixels_from_one_and_the_last_is_inside(tmp_path: Path):
    (tmp_path / "photos" / "val").mkdir(parents=True)
    (tmp_path / "photos" / "val" / "a.JPEG").touch()
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml" / "a.xml").write_text(
        "<annotation><size><width>50</width><height>60</height></size><object><name>n01</name>"
        "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>50</xmax><ymax>60</ymax></bndbox></object>"
        "</annotation>"
    )
    (item,) = read_items(tmp_path / "photos", tmp_path / "xml")
    assert (item.file, item.label) == ("val/a.JPEG", "n01")
    assert item.boxes == (Box(0, 0, 60, 50),)  # the whole image
    assert item.size == (60, 50)


XML = (
    "<annotation><size><width>{}</width><height>{}</height></size><object><name>n01</name><bndbox>"
    "<xmin>{}</xmin><ymin>1</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"
)


def test_size_of_zero_in_xml_is_unknown(tmp_path: Path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.xml").write_text(XML.format(0, 0, 1))
    (tmp_path / "without-photo.xml").write_text("<")
    (item,) = read_items(tmp_path, tmp_path)
    assert (item.size, item.boxes) == (None, (Box(0, 0, 6, 5),))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (XML.format(50, 0, 1), "a.xml: width and height must be >= 1"),
        (XML.format("wide", 60, 1), "a.xml: invalid literal"),
        ("<", "a.xml: unclosed token"),
    ],
)
def test_bad_xml_is_an_error_that_names_the_file(tmp_path: Path, text: str, problem: str):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.xml").write_text(text)
    with pytest.raises(ValueError, match=f"deep.{problem}"):
        read_items(tmp_path, tmp_path)


def coco(bbox: list[float] | None, **image: object) -> str:
    image = {"id": 9, "file_name": "a.jpg", "width": 50, "height": 60} | image
    label = {"image_id": 9, "category_id": 1, "bbox": bbox}
    return json.dumps(
        {"images": [image], "categories": [{"id": 1, "name": "cat"}], "annotations": [label]}
    )


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
        ("parts.json", coco([0.1, 0.2, 0.5, 0.5]), r"a.jpg: the boxes lie in \[0, 1\]"),
        (
            "sizes.csv",
            HEAD + "a.jpg,3,,,0,0,9,8,20,10\na.jpg,3,,,0,0,9,8,10,20\n",
            "a.jpg: has boxes for 10x20 and for 20x10",
        ),
        ("list.json", "[]", "a COCO file must be an object .* got a list"),
        ("texts.json", '{"categories": ["cat"]}', "cannot be read as labels"),
        ("flat.json", coco([1, 2, 3, 4], height=0), "annotation 1: width and height must be"),
        ("edges.json", coco([1, 2, 3]), "annotation 1: not enough values"),
        ("image.json", coco([1, 2, 3, 4], id=8), "image_id 9 is not an id in the file"),
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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,class\n", "no column"),
        ("wnid,class_index\nn01,x\n", "line 2: class_index"),
        (None, "No"),
    ],
)
def test_bad_wordnet_ids_are_errors_that_name_their_file(
    tmp_path: Path, text: str | None, problem: str
):
    (tmp_path / "a.jpg").touch()
    if text is not None:
        (tmp_path / "ids.csv").write_text(text)
    with pytest.raises(ValueError, match=f"ids.csv: cannot be read as WordNet ids: .*{problem}"):
        read_items(tmp_path, wnids=tmp_path / "ids.csv")


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
        ("huge.json", coco([1, 2, 10**400, 4])),
        ("size.json", coco([1, 2, 3, 4], height=float("inf"))),
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
        ("flat.json", coco([1, 2, 0, 4]), "annotation 1: a box has"),
        ("infinite.json", coco([1, 2, 3, float("inf")]), "annotation 1: a box has"),
        ("none.json", coco([]), "annotation 1: has no bbox"),
        ("null.json", coco(None), "annotation 1: has no bbox"),
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


def test_xml_belongs_to_the_photo_at_its_path(tmp_path: Path):
    """Joined by stem, two photos got the boxes and labels of all six."""
    notices: list[str] = []
    for folder, edge in (("red", 1), ("green", 2), ("blue", 3)):
        for stem in "01":
            for path in (tmp_path / "photos", tmp_path / "xml"):
                (path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "photos" / folder / f"{stem}.png").touch()
            (tmp_path / "xml" / folder / f"{stem}.xml").write_text(XML.format(50, 60, edge))
    (tmp_path / "photos" / "red" / "2.png").touch()
    items = read_items(tmp_path / "photos", tmp_path / "xml", notify=notices.append)
    assert [(item.file, item.boxes[0].left) for item in items] == [
        *[("blue/0.png", 2), ("blue/1.png", 2), ("green/0.png", 1), ("green/1.png", 1)],
        *[("red/0.png", 0), ("red/1.png", 0)],
    ]
    assert notices == [f"{tmp_path / 'xml'}: 1 of 7 photos have no .xml file in it"]


def test_xml_without_folders_is_joined_by_the_names_that_it_holds(tmp_path: Path):
    for folder in ("red", "green"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.png").touch()
    (tmp_path / "xml").mkdir()
    text = XML.format(50, 60, 1)
    for file, named in (("0.xml", ""), ("r.xml", "<folder>{}</folder><filename>0.png</filename>")):
        (tmp_path / "xml" / "0.xml").unlink(missing_ok=True)
        words = named.format("C:\\photos\\red")
        (tmp_path / "xml" / file).write_text(text.replace("<size>", words + "<size>"))
        if not named:
            with pytest.raises(ValueError, match=r"0\.xml: may belong to green/0.png, red/0.png"):
                read_items(tmp_path, tmp_path / "xml")
    (item,) = read_items(tmp_path, tmp_path / "xml")
    assert item.file == "red/0.png"


def test_xml_without_a_box_keeps_its_class(tmp_path: Path):
    (tmp_path / "a.jpg").touch()
    text = XML.format(50, 60, 1)
    start, end = text.index("<bndbox>"), text.index("</bndbox>") + len("</bndbox>")
    (tmp_path / "a.xml").write_text(text[:start] + text[end:])
    notices: list[str] = []
    (item,) = read_items(tmp_path, tmp_path, notify=notices.append)
    assert (item.label, item.boxes) == ("n01", ())
    assert "a.xml: an object has no bndbox" in notices[0]
