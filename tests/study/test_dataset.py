"""Items, samples of them, and the part that is held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onnxplain.core.data import Box, Size
from onnxplain.study.dataset import Item, draw_sample, is_held_out, read_items
from tests.conftest import shared
from tests.study.conftest import reddish, save


def test_boxes_follow_a_scaled_image():
    item = Item("a", Path("a"), 0, (Box(10, 20, 30, 40),), (100, 200))
    assert item.boxes_in((50, 100)) == (Box(5, 10, 15, 20),)
    assert item.boxes_in((33, 67))[0].right == pytest.approx(40 * 67 / 200)  # a pixel is rounded
    assert Item("a", Path("a"), 0, (Box(1, 2, 3, 4),)).boxes_in((9, 9)) == (Box(1, 2, 3, 4),)


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ((200, 100), r"100x200 and the photo has 200x100 .*lies on its side"),
        ((400, 200), "EXIF orientation"),
        ((50, 400), "is another shape"),
        ((100, 100), "is another shape"),
    ],
)
def test_boxes_drawn_on_an_image_of_another_shape_are_refused(size: Size, problem: str):
    item = Item("a", Path("a"), 0, (Box(10, 20, 30, 40),), (100, 200))
    with pytest.raises(ValueError, match=problem):
        item.boxes_in(size)
    assert replace(item, boxes=()).boxes_in(size) == ()


def test_size_of_one_means_that_boxes_are_parts_of_the_image():
    item = Item("a", Path("a"), 0, (Box(0.1, 0.25, 0.5, 1),), (1, 1))
    assert item.boxes_in((200, 100)) == (Box(20, 25, 100, 100),)


def test_wordnet_ids_become_class_indices(tmp_path: Path):
    (tmp_path / "n01").mkdir()
    (tmp_path / "n01" / "x.png").touch()
    wnids = tmp_path / "classes.csv"
    wnids.write_text("class_index,wnid,names\n41,n01,whatever\n")
    (item,) = read_items(tmp_path, wnids=wnids)
    assert (item.label, item.class_name) == (41, "whatever")


def test_missing_folder_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="nowhere: is not a folder"):
        read_items(tmp_path / "nowhere")


MANY = [Item(f"{i}.jpg", Path(f"{i}.jpg"), i % 7) for i in range(2000)]


def test_larger_sample_holds_the_smaller_one_of_the_same_seed():
    small, large = draw_sample(MANY, 10, 3), draw_sample(MANY, 50, 3)
    assert large[:10] == small
    assert draw_sample(MANY[::-1], 10, 3) == small
    assert draw_sample(MANY, 10, 4) != small
    assert draw_sample(MANY, None, 3) == MANY


def test_held_out_part_has_the_given_share():
    n_held_out = sum(is_held_out(item.file, 0.3, seed=1) for item in MANY)
    deviation = np.sqrt(len(MANY) * 0.3 * 0.7)
    assert abs(n_held_out - 600) < 4 * deviation
    assert not any(is_held_out(item.file, 0.0, seed=1) for item in MANY)


def test_real_labels_are_251_images_with_407_boxes():
    items = read_items(shared("data/eval/images"), shared("data/eval/labels.csv"))
    assert len(items) == 251
    assert sum(len(item.boxes) for item in items) == 407
    assert all(item.path.is_file() for item in items)


def test_folder_of_annotations_without_any_is_named(tmp_path: Path):
    save(tmp_path / "photos" / "a.png", reddish(0))
    with pytest.raises(ValueError, match=r"photos: no \.xml file in this folder has the name of a"):
        read_items(tmp_path / "photos", tmp_path / "photos")
