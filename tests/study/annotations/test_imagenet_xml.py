"""Annotations from ImageNet's XML, as `read_items` gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxplain.core.data import Box
from onnxplain.study.dataset import read_items
from tests.helpers.annotations import XML

NO_BOX = (
    "<annotation><size><width>{}</width><height>{}</height></size><object><name>n01</name></object>"
    "</annotation>"
)


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
        (NO_BOX.format(50, 0), "a.xml: width and height must be >= 1"),
        (XML.format("wide", 60, 1), "a.xml: invalid literal"),
        ("<", "a.xml: unclosed token"),
    ],
)
def test_bad_xml_is_an_error_that_names_the_file(tmp_path: Path, text: str, problem: str):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.xml").write_text(text)
    with pytest.raises(ValueError, match=f"deep.{problem}") as caught:
        read_items(tmp_path, tmp_path)
    assert str(caught.value).count("a.xml") == 1


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
    (tmp_path / "a.xml").write_text(NO_BOX.format(50, 60))
    notices: list[str] = []
    (item,) = read_items(tmp_path, tmp_path, notify=notices.append)
    assert (item.label, item.boxes) == ("n01", ())
    assert "a.xml: an object has no bndbox" in notices[0]
