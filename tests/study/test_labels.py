"""Labels are matched with the classes of a classifier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onnxplain.core.data import Box
from onnxplain.runtime import from_callable
from onnxplain.study.dataset import Item
from onnxplain.study.labels import choose_items, find_known_items
from tests.helpers.nets import Net


def test_known_labels_become_indices_and_unknown_ones_are_counted():
    def item(label: int | str | None) -> Item:
        return Item("a", Path("a"), label)

    known = find_known_items(
        map(item, ["kitty", 1, "mouse", "2", "mouse", 3, -1]), ["cat, kitty", "dog", "bird"]
    )
    assert [item.label for item in known.items] == [0, 1, 2]
    assert find_known_items([item(None)], ["cat"]) == ([item(None)], {}, {})
    assert known.unknown == {"mouse": 2, "3": 1, "-1": 1}


def test_label_with_several_names_is_known_if_they_name_one_class():
    names = ["garter snake", "crane (bird)", "crane (machine)", "sea_snake", "Garter, sea snake"]

    def find(label: str) -> list[int | str | None]:
        return [
            known.label for known in find_known_items([Item("a", Path("a"), label)], names).items
        ]

    assert find("garter snake, grass snake") == [0]
    assert find("Crane (bird), wader") == [1]
    assert find("crane, wader") == find("sea snake, garter snake") == find("1, 5") == []


def test_name_decides_if_the_index_is_another_class():
    """Networks with 1001 classes have one class before ImageNet's first."""
    names = ["background", "sea snake", "green mamba, mamba", "crane (bird)", "crane (machine)"]
    labels = (
        *((0, "Sea snake, serpent"), (1, "green mamba"), (2, "crane"), (9, "mamba")),
        *((3, "crane"), (4, "crane"), (2, "mamba"), (3, "12"), (4, None)),
    )
    items = [Item("a", Path("a"), label, class_name=name) for label, name in labels]
    known = find_known_items(items, names)
    assert [item.label for item in known.items] == [1, 2, 2, 3, 4, 2, 4]
    assert known.unknown == {"2 (crane)": 1, "3 (12)": 1}
    assert list(known.disputed) == [
        "0 is background and not Sea snake, serpent",
        "1 is sea snake and not green mamba",
        "2 is green mamba, mamba and not crane",
        "9 is no class and not mamba",
        "3 is crane (bird) and not 12",
    ]
    by_index = find_known_items(items, names, named=False)
    assert [item.label for item in by_index.items] == [0, 1, 2, 3, 4, 2, 3, 4]
    assert by_index.unknown == {"9": 1}
    assert not by_index.disputed


def item(label: int | str | None, class_name: str | None = None) -> Item:
    return Item("a", Path("a"), label, class_name=class_name)


def test_images_of_unknown_classes_are_left_out_with_a_notice(net: Net):
    notices: list[str] = []
    labels = [item("yes"), item("maybe"), item(0), item("never"), item("never")]
    chosen = choose_items(labels, net, notices.append)
    assert [known.label for known in chosen] == [1, 0]
    assert notices == [
        "3 images left out, with labels that are not classes of the classifier: maybe, never"
    ]


def test_index_that_contradicts_its_name_is_a_notice(net: Net):
    notices: list[str] = []
    (chosen,) = choose_items([item(0, "yes")], net, notices.append)
    assert chosen.label == 1
    (notice,) = notices
    assert "for example 0 is no and not yes; class_name decides for 1 image " in notice


def test_index_decides_if_classes_have_numbers_for_names():
    classifier = from_callable(
        lambda images: np.ones((len(images), 3)) / 3, size=(8, 8), n_classes=3
    )
    notices: list[str] = []
    (chosen,) = choose_items([item(2, "crane")], classifier, notices.append)
    assert chosen.label == 2
    (notice,) = notices
    assert "so class_index decides; for example, it cannot be checked that 2 is crane" in notice


def test_all_names_of_a_class_are_one_image_with_all_boxes(net: Net):
    first, second, third = Box(0, 0, 2, 2), Box(4, 4, 6, 6), Box(8, 8, 9, 9)
    everything = [
        replace(item("yes"), boxes=(first, second)),
        replace(item("Yes"), boxes=(second, third)),
        replace(item(1), boxes=()),
        replace(item("no"), boxes=(third,)),
    ]
    yes, no = choose_items(everything, net, print)
    assert (yes.label, yes.boxes) == (1, (first, second, third))
    assert (no.label, no.boxes) == (0, (third,))
    # A shard or a sample that has one of the names has all boxes too.
    for part in everything[:3]:
        assert choose_items([part], net, print, everything=everything) == [yes]


def test_labels_of_another_classifier_are_an_error(net: Net):
    with pytest.raises(
        ValueError, match="no label is a class of the classifier, for example 'cat'"
    ):
        choose_items([item("cat"), item(7)], net, print)
    assert choose_items([], net, print) == []
