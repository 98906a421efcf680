"""Sheets find their rows and columns by what differs between explanations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from onnxplain.drawing.arrange import Line, arrange, describe_shared, name_class
from tests.helpers.explanations import make_explanation

METHODS, IMAGES = ("rise", "grad-cam"), ("a.jpg", "b.jpg", "c.jpg")
TARGETS = ((1, "cat"), (2, "dog"))


def read(lines: Sequence[Line]) -> list[tuple[str, list[str | None]]]:
    """Return the label of each row, and method, image and target of its places."""
    return [
        (
            line.label,
            [
                place
                and f"{place.explanation.method} {place.explanation.image} "
                f"{place.explanation.target}"
                for place in line.places
            ],
        )
        for line in lines
    ]


def test_methods_have_rows_and_images_columns_in_the_order_given() -> None:
    maps = [make_explanation(method=m, image=i) for m, i in itertools.product(METHODS, IMAGES)]
    photos, *rows = arrange(maps)
    assert [place and place.shows for place in photos.places] == ["photo"] * 3
    assert [place and place.title for place in photos.places] == ["espresso"] * 3
    assert [place and place.subtitle for place in photos.places] == [
        f"0.938 · {image}" for image in IMAGES
    ]
    assert read(rows) == [
        ("rise", [f"rise {image} 967" for image in IMAGES]),
        ("grad-cam", [f"grad-cam {image} 967" for image in IMAGES]),
    ]


def test_a_method_that_failed_on_an_image_leaves_its_place_empty() -> None:
    maps = [make_explanation(method=m, image=i) for m, i in itertools.product(METHODS, IMAGES)]
    assert read(arrange(maps[:4]))[2] == ("grad-cam", ["grad-cam a.jpg 967", None, None])


def test_the_same_targets_of_images_have_rows_with_their_names() -> None:
    maps = [
        make_explanation(image=image, target=target, target_name=name)
        for image, (target, name) in itertools.product(IMAGES, TARGETS)
    ]
    photos, *rows = arrange(maps)
    assert [row.label for row in rows] == ["cat", "dog"]
    assert [place and place.title for place in photos.places] == [""] * 3
    assert [place and (place.title, place.subtitle) for place in rows[1].places] == [
        ("dog", "0.938")
    ] * 3


def test_different_best_targets_of_images_have_rows_by_their_rank() -> None:
    maps = [
        make_explanation(image=image, target=10 * i + rank, target_name=f"class {10 * i + rank}")
        for i, image in enumerate(IMAGES)
        for rank in range(2)
    ]
    _, *rows = arrange(maps)
    assert read(rows) == [
        ("first class", ["sp a.jpg 0", "sp b.jpg 10", "sp c.jpg 20"]),
        ("second class", ["sp a.jpg 1", "sp b.jpg 11", "sp c.jpg 21"]),
    ]


def test_classifiers_that_find_other_classes_leave_no_gaps() -> None:
    """Their classes had rows of the first and the second class, each with holes."""
    found = {"old": (1, 2, 3), "new": (1, 5, 3)}
    maps = [
        make_explanation(
            image=image,
            target=target,
            target_name=f"class {target}",
            provenance={"classifier": {"model": model}},
        )
        for model, targets in found.items()
        for image, target in zip(IMAGES, targets, strict=True)
    ]
    assert read(arrange(maps))[1:] == [
        ("old", ["sp a.jpg 1", "sp b.jpg 2", "sp c.jpg 3"]),
        ("new", ["sp a.jpg 1", "sp b.jpg 5", "sp c.jpg 3"]),
    ]


def test_of_one_image_the_targets_have_the_columns() -> None:
    maps = [
        make_explanation(method=method, target=target, target_name=name)
        for method, (target, name) in itertools.product(METHODS, TARGETS)
    ]
    heads, *rows = arrange(maps)
    assert [place and (place.title, place.shows) for place in heads.places] == [
        ("cat", "photo"),
        ("dog", "text"),
    ]
    assert [row.label for row in rows] == list(METHODS)


def test_the_targets_of_an_image_stand_by_their_probability_whatever_their_order() -> None:
    scores = {"a.jpg": {3: 0.1, 1: 0.7, 2: 0.2}, "b.jpg": {5: 0.3, 6: 0.4, 4: 0.2}}
    maps = [
        make_explanation(
            image=image, method=method, target=target, target_name=f"class {target}", score=score
        )
        for image, own in scores.items()
        for method in METHODS
        for target, score in own.items()
    ]
    assert read(arrange(maps))[1:] == [
        (f"{method}, {rank} class", [f"{method} a.jpg {first}", f"{method} b.jpg {second}"])
        for method in METHODS
        for rank, first, second in (("first", 1, 6), ("second", 2, 5), ("third", 3, 4))
    ]
    (line,) = arrange([one for one in maps if one.image == "a.jpg" and one.method == "rise"])
    assert [place and place.explanation.target for place in line.places[1:]] == [1, 2, 3]


def test_of_one_image_methods_alone_stand_behind_the_photo() -> None:
    (line,) = arrange([make_explanation(method=method) for method in METHODS])
    assert [place and (place.title, place.shows) for place in line.places] == [
        ("espresso", "photo"),
        ("rise", "map"),
        ("grad-cam", "map"),
    ]


def test_rows_are_named_by_what_differs_and_nothing_else() -> None:
    def name(*changes: dict[str, object]) -> list[str]:
        maps = [make_explanation(**change) for change in changes]
        (line,) = arrange(maps)
        return [place.title for place in line.places[1:] if place]

    assert name({"fill": "blur"}, {"fill": "black", "fill_parameters": {}}) == ["blur", "black"]
    assert name({"seed": 1}, {"seed": 2}) == ["seed=1", "seed=2"]
    assert name({"parameters": {"patch": 3}}, {"parameters": {"patch": 5}}) == [
        "patch=3",
        "patch=5",
    ]
    assert name({"fill_parameters": {"sigma": 2}}, {"fill_parameters": {"sigma": 9}}) == [
        "fill sigma=2",
        "fill sigma=9",
    ]
    models = [
        {"provenance": {"classifier": {"model": name}, "image_size": [40, 60]}}
        for name in ("a.onnx", "b.onnx")
    ]
    assert name(*models) == ["a.onnx", "b.onnx"]
    assert name({"method": "rise", "parameters": {"n_masks": 9}}, {}) == ["rise", "sp"]


def test_explanations_read_from_files_are_equal_to_those_just_made() -> None:
    made = make_explanation(parameters={"rgb": (1, 2)})
    read_back = make_explanation(parameters={"rgb": [1, 2]}, image="b.jpg")
    assert [line.label for line in arrange([made, read_back])] == ["", ""]


def test_what_all_share_is_said_once() -> None:
    maps = [make_explanation(), make_explanation(image="b.jpg")]
    assert describe_shared(maps) == "net.onnx · sp · removed pixels filled with blur"
    assert describe_shared([*maps, make_explanation(method="rise", fill="black")]) == "net.onnx"
    assert name_class(make_explanation(target_name="espresso, strong coffee")) == "espresso"
