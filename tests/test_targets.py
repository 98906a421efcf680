"""Targets are looked up by index, name and rank."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.targets import Top, choose_targets, count_targets, parse_targets

NAMES = ("tabby, tabby cat", "Egyptian cat", "crane", "crane", "7")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, (Top(1),)),
        (2, (2,)),
        (np.int64(2), (2,)),
        ("2", (2,)),
        ("tabby", (0,)),
        ("Tabby Cat", (0,)),
        ("tabby, tabby cat", (0,)),
        ("EGYPTIAN CAT", (1,)),
        ("7", (4,)),  # a name before an index
        ("top-3", (Top(3),)),
        ("top2", (Top(2),)),
        ([1, "tabby", "top-2"], (1, 0, Top(2))),
    ],
)
def test_targets_are_found_by_index_name_and_rank(target, expected):
    assert parse_targets(target, NAMES) == expected


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("taby", "target 'taby' is unknown; did you mean 'tabby'"),
        ("crane", r"fits several classes; give an index: 2 \(crane\), 3 \(crane\)"),
        (5, "must be a class from 0 to 4, got 5"),
        (-1, "must be a class from 0 to 4, got -1"),
        ("-1", "must be a class from 0 to 4, got -1"),
        ("top-6", "1 to 5 classes, got 6"),
        ("top-0", "1 to 5 classes, got 0"),
        ([], "empty list"),
    ],
)
def test_wrong_target_is_refused_with_what_there_is(target, text):
    with pytest.raises(ValueError, match=text):
        parse_targets(target, NAMES)


def test_message_lists_the_classes_that_hold_the_word():
    """By spelling alone, "cat" is nearest to "crate"."""
    names = ("tabby, tabby cat", "Egyptian_cat", "crate", "catamaran", "polecat", "big cats")
    with pytest.raises(ValueError, match="'Cat' fits several classes") as raised:
        parse_targets("Cat", names)
    assert str(raised.value) == (
        "target 'Cat' fits several classes; give an index or a longer part: "
        "0 (tabby, tabby cat), 1 (Egyptian_cat), 5 (big cats)"
    )
    with pytest.raises(ValueError, match=r"9 \(cat 9\), \.\.\. \(99 in all\)$"):
        parse_targets("cat", [f"cat {i}" for i in range(99)])


def test_message_lists_only_the_first_of_many_classes():
    with pytest.raises(ValueError, match=r"kind 19, \.\.\. \(1000 in all\)$"):
        parse_targets("zzz", [f"kind {i}" for i in range(1000)])


def test_each_class_is_chosen_once():
    probabilities = np.array([0.1, 0.4, 0.2, 0.3])
    assert choose_targets((2, Top(2), 1), probabilities) == [2, 1, 3]


def test_count_of_targets_is_an_upper_bound():
    assert count_targets((2, Top(2), 1)) == 4


def test_part_of_one_name_is_enough():
    names = ("Labrador retriever", "golden retriever", "hot dog", "catamaran", "tabby, tiger cat")
    assert parse_targets(["labrador", "DOG", "amara", "tiger"], names) == (0, 2, 3, 4)
    assert parse_targets("cat", names) == (4,)  # a word before letters inside a word


def test_first_name_wins_over_a_synonym():
    names = ("harmonica, mouth organ, harp", "harp", "skunk, polecat", "polecat, fitch")
    assert parse_targets(["harp", "polecat"], names) == (1, 3)


def test_part_is_not_enough_where_names_must_be_whole():
    with pytest.raises(
        ValueError, match=r"'dog' is unknown; a class with this word: 1 \(hot dog\)"
    ):
        parse_targets("dog", ["tabby", "hot dog"], by_part=False)


@pytest.mark.parametrize("target", [True, False, np.True_, [True]])
def test_truth_is_no_target(target):
    with pytest.raises(TypeError, match=r"got (True|False|np\.True_)"):
        parse_targets(target, ["a", "b"])


@pytest.mark.parametrize("target", [5.0, b"5", {"a": 1}.get])
def test_value_that_is_no_target_is_refused(target):
    with pytest.raises(TypeError, match="takes an index, a name or a list of them, got"):
        parse_targets(target, ["a", "b"])


@pytest.mark.parametrize("name", ["class {}", "{}"])
def test_a_name_is_not_looked_for_among_numbers(name: str):
    numbers = [name.format(index) for index in range(365)]
    with pytest.raises(ValueError, match="knows no names of its classes; give an index from 0 to"):
        parse_targets("forest", numbers)
    assert parse_targets(numbers[7], numbers) == (7,)
