"""Which explanation stands where on a sheet: found by what differs between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from onnxplain.core.flow import NO_FILL
from onnxplain.results import Explanation

H = TypeVar("H", bound=Hashable)
Facts: TypeAlias = Mapping[str, str]  # how an explanation was made


@dataclass(frozen=True, eq=False)
class Place:
    """An explanation at its place on a sheet, and what stands above it."""

    explanation: Explanation
    title: str = ""
    subtitle: str = ""
    shows: Literal["map", "photo", "text"] = "map"


@dataclass(frozen=True, eq=False)
class Line:
    """A row of a sheet: a label, and a place per column; None where there is no explanation."""

    label: str
    places: Sequence[Place | None]


def arrange(explanations: Sequence[Explanation]) -> list[Line]:
    """Arrange explanations in rows and columns.

    Each image has a column, with its photo in the first row; whatever else differs (classifier,
    method, fill, parameters, seed, and targets of one image) has a row each. Of one image, the
    targets have the columns; where only one thing differs, all stand in one row. Targets of an
    image stand from the most to the least probable, all else in the order given.
    """
    ways = _name_ways(explanations)
    explanations = _sort_targets(explanations, ways)
    targets = _group(explanations, _get_image, lambda explanation: explanation.target)
    if len(targets) == 1:
        (own,) = targets.values()
        if len(own) > 1 and len(set(ways)) > 1:
            return _arrange_targets(explanations, ways)
        return [_arrange_flat(explanations, ways)]
    return _arrange_images(explanations, ways, targets)


def name_class(explanation: Explanation) -> str:
    """Return the first name of the target."""
    return explanation.target_name.split(",")[0]


def _get_answer(explanation: Explanation) -> tuple[str, float]:
    return name_class(explanation), explanation.score


def _format_score(explanation: Explanation, name: str = "") -> str:
    """Format the score, which stands before the name of the file, as that may be cut off."""
    score = f"{explanation.score:.3g}"
    return f"{score} · {name}" if name else score


def describe_shared(explanations: Sequence[Explanation]) -> str:
    """Name the classifier, the method and the fill that all explanations share."""
    made = [_list_facts(explanation) for explanation in explanations]
    parts = [_get_shared(made, key) for key in ("model", "method")]
    fill = _get_shared(made, "fill")
    if fill and fill != NO_FILL:
        parts.append(f"removed pixels filled with {fill}")
    return " · ".join(part for part in parts if part)


def _sort_targets(
    explanations: Sequence[Explanation], ways: Sequence[str]
) -> Sequence[Explanation]:
    """Sort the explanations of an image that were made in one way by their scores.

    They keep the places of one another, so that the order of images and ways does not change.
    Files are mostly given by name, which would put the classes in the order of the alphabet.
    """
    places: dict[Hashable, list[int]] = {}
    for place, (explanation, way) in enumerate(zip(explanations, ways, strict=True)):
        places.setdefault((_get_image(explanation), way), []).append(place)
    arranged = list(explanations)
    for own in places.values():
        ranked = sorted((explanations[place] for place in own), key=lambda other: -other.score)
        for place, explanation in zip(own, ranked, strict=True):
            arranged[place] = explanation
    return arranged


def _arrange_images(
    explanations: Sequence[Explanation],
    ways: Sequence[str],
    targets: Mapping[Hashable, Sequence[int]],
) -> list[Line]:
    """Arrange several images: a column each, with the photo above."""
    images = list(targets)
    asked = _group(explanations, _get_image, _get_answer)
    same = len(set(map(tuple, targets.values()))) == 1
    ranks = _rank_targets(explanations, ways)
    many = max(map(len, targets.values() if same else ranks.values())) > 1
    rows: dict[tuple[str, int | None], dict[Hashable, Place]] = {}
    photos: dict[Hashable, Place] = {}
    for explanation, way in zip(explanations, ways, strict=True):
        image = _get_image(explanation)
        alone = len(asked[image]) == 1  # its class and score stand above the photo
        photos.setdefault(image, _make_photo(explanation, alone=alone))
        rank = ranks[image, way].index(explanation.target)
        slot = (explanation.target if same else rank) if many else None
        answer = ("", "") if alone else (name_class(explanation), _format_score(explanation))
        rows.setdefault((way, slot), {})[image] = Place(explanation, *answer)
    lines = [Line("", [photos[image] for image in images])]
    for (way, slot), row in _sort_rows(rows, list(dict.fromkeys(ways))):
        label = way
        if slot is not None:
            target = name_class(next(iter(row.values())).explanation) if same else _name_rank(slot)
            label = f"{way}, {target}" if way else target
        lines.append(Line(label, [row.get(image) for image in images]))
    return lines


def _rank_targets(
    explanations: Sequence[Explanation], ways: Sequence[str]
) -> dict[tuple[Hashable, str], list[int]]:
    """List the targets of each image and way: two classifiers may each find a class of its own."""
    ranks: dict[tuple[Hashable, str], dict[int, None]] = {}
    for explanation, way in zip(explanations, ways, strict=True):
        ranks.setdefault((_get_image(explanation), way), {})[explanation.target] = None
    return {made: list(own) for made, own in ranks.items()}


def _arrange_targets(explanations: Sequence[Explanation], ways: Sequence[str]) -> list[Line]:
    """Arrange several targets of one image: a column each, and the photo above the first."""
    heads: dict[int, Explanation] = {}
    rows: dict[str, dict[int, Place]] = {}
    for explanation, way in zip(explanations, ways, strict=True):
        heads.setdefault(explanation.target, explanation)
        rows.setdefault(way, {})[explanation.target] = Place(explanation)
    photo, *others = heads.values()
    names = [Place(other, name_class(other), _format_score(other), "text") for other in others]
    first = Line("", [_make_photo(photo, alone=True), *names])
    lines = [Line(way, [row.get(target) for target in heads]) for way, row in rows.items()]
    return [first, *lines]


def _arrange_flat(explanations: Sequence[Explanation], ways: Sequence[str]) -> Line:
    """Arrange explanations of one image that differ in one thing: behind its photo."""
    alone = len({_get_answer(explanation) for explanation in explanations}) == 1
    tiles = {}
    for explanation, way in zip(explanations, ways, strict=True):
        name, score = name_class(explanation), _format_score(explanation)
        if not way and not alone:
            place = Place(explanation, name, score)
        else:
            place = Place(explanation, way, "" if alone else f"{score} {name}")
        tiles[way, explanation.target] = place
    return Line("", [_make_photo(explanations[0], alone=alone), *tiles.values()])


def _make_photo(explanation: Explanation, *, alone: bool) -> Place:
    """Make the place of a photo, with its class and score if it has only one."""
    name = Path(explanation.image).name
    if alone:
        return Place(
            explanation, name_class(explanation), _format_score(explanation, name), "photo"
        )
    return Place(explanation, "", name, "photo")


def _name_ways(explanations: Sequence[Explanation]) -> list[str]:
    """Name how each explanation was made, by what differs between them; empty if nothing does."""
    made = [_list_facts(explanation) for explanation in explanations]
    names = []
    for facts in made:
        parts = [facts[key] for key in ("model", "method") if not _get_shared(made, key)]
        alike = [other for other in made if _agree(facts, other, "model", "method")]
        if not _get_shared(alike, "fill"):
            parts.append(facts["fill"])
        alike = [other for other in alike if _agree(facts, other, "fill")]
        differing = [key for key in facts if not _get_shared(alike, key)]
        parts += [f"{key}={facts[key]}" for key in differing]
        names.append(" ".join(parts))
    return names


def _list_facts(explanation: Explanation) -> dict[str, str]:
    """List how an explanation was made, as texts."""
    model = explanation.provenance.get("classifier", {}).get("model", "")
    named = {"model": str(model), "method": explanation.method, "fill": explanation.fill}
    given = {
        **explanation.parameters,
        **{f"fill {key}": value for key, value in explanation.fill_parameters.items()},
        "seed": explanation.seed,
    }
    # Values that were read from JSON are lists where those just made are tuples.
    return {**named, **{key: json.dumps(value, default=str) for key, value in given.items()}}


def _get_shared(made: Iterable[Facts], key: str) -> str:
    """Return the value of a fact if all share it; empty otherwise."""
    values = {facts.get(key, "") for facts in made}
    return values.pop() if len(values) == 1 else ""


def _agree(first: Facts, second: Facts, *keys: str) -> bool:
    return all(first[key] == second[key] for key in keys)


def _get_image(explanation: Explanation) -> Hashable:
    return explanation.image, explanation.provenance.get("pixels_sha256")


def _group(
    explanations: Iterable[Explanation],
    key: Callable[[Explanation], Hashable],
    value: Callable[[Explanation], H],
) -> dict[Hashable, list[H]]:
    """List the different values of each key, in the order in which they come."""
    groups: dict[Hashable, dict[H, None]] = {}
    for explanation in explanations:
        groups.setdefault(key(explanation), {})[value(explanation)] = None
    return {name: list(values) for name, values in groups.items()}


def _sort_rows(
    rows: Mapping[tuple[str, int | None], dict[Hashable, Place]], ways: list[str]
) -> list[tuple[tuple[str, int | None], dict[Hashable, Place]]]:
    """Sort rows by way, then by target, each in the order in which they came."""
    slots = list(dict.fromkeys(slot for _, slot in rows))
    return sorted(rows.items(), key=lambda item: (ways.index(item[0][0]), slots.index(item[0][1])))


def _name_rank(rank: int) -> str:
    names = ("first class", "second class", "third class")
    return names[rank] if rank < len(names) else f"class {rank + 1}"
