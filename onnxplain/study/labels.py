"""Choice of images: those whose label is a class of the classifier."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from onnxplain.core.data import Box
from onnxplain.core.protocols import Classifier
from onnxplain.study.dataset import Item
from onnxplain.targets import Top, parse_targets


class Known(NamedTuple):
    """The items whose label a classifier knows, and counts of problematic labels.

    Parameters
    ----------
    items : list of Item
        Items whose label is a class, now its index; and items without a label, unchanged.
    unknown : dict
        Number of images for each label that is not a class.
    disputed : dict
        Number of images for each label whose index and name are different classes; the keys
        are texts that say what differs. The name decided.
    """

    items: list[Item]
    unknown: dict[str, int]
    disputed: dict[str, int]


def find_known_items(
    items: Iterable[Item], class_names: Sequence[str], *, named: bool = True
) -> Known:
    """Find the items whose labels are classes of a classifier.

    Parameters
    ----------
    items : iterable of Item
        A label is an index or a name. A label with several names, separated by commas, is
        known if one of the names is known, unless they name several classes. Classifiers
        number the same classes differently, so if a label has both an index and a name, and
        they disagree, the name decides.
    class_names : sequence of str
        The names of the classifier's classes.
    named : bool
        False if the class names are only numbers; then the index decides.
    """
    known = Known([], {}, {})
    names = [_split_names(class_name) for class_name in class_names]
    indices: dict[tuple[int | str, str | None], int | None] = {}
    for item in items:
        if item.label is None:
            known.items.append(item)
            continue
        label, name = item.label, item.class_name if named else None
        if (label, name) not in indices:
            indices[label, name] = _find_class(label, name, class_names, names)
        index = indices[label, name]
        if name is not None and index != label:
            other = class_names[int(label)] if 0 <= int(label) < len(class_names) else "no class"
            _count(known.disputed, f"{label} is {other} and not {name}")
        if index is None:
            _count(known.unknown, str(label) if name is None else f"{label} ({name})")
        else:
            known.items.append(replace(item, label=index))
    return known


def join_items(items: Iterable[Item], everything: Iterable[Item]) -> list[Item]:
    """Join the items of one image and class, which annotations may give several labels.

    ``cat``, ``kitty`` and ``0`` may be one class of a classifier; so may two WordNet ids.

    Parameters
    ----------
    items : iterable of Item
        Items to join. Labels are indices.
    everything : iterable of Item
        These and all other items of the images: all boxes of an image and class belong to it,
        whichever of its items are taken.
    """
    boxes: dict[tuple[str, int | str | None], dict[Box, None]] = {}
    for item in everything:
        boxes.setdefault((item.file, item.label), {}).update(dict.fromkeys(item.boxes))
    joined = {(item.file, item.label): item for item in items}
    return [replace(item, boxes=tuple(boxes[key])) for key, item in joined.items()]


def choose_items(
    items: Sequence[Item],
    classifier: Classifier,
    notify: Callable[[str], None],
    *,
    everything: Sequence[Item] | None = None,
) -> list[Item]:
    """Choose the items whose labels a classifier knows, and report problems with the others.

    Parameters
    ----------
    items : sequence of Item
        As `onnxplain.study.dataset.read_items` returns them.
    classifier : Classifier
        The classifier to explain.
    notify : callable
        Called with a sentence about labels that are left out or read differently.
    everything : sequence of Item, optional
        All items of the images, if `items` are a part; see `join_items`.

    Raises
    ------
    ValueError
        If there are images, but no label is a class.
    """
    named = _has_class_names(classifier)
    known = find_known_items(items, classifier.class_names, named=named)
    if not named and (example := next((item for item in items if item.class_name), None)):
        notify(
            f"the classifier's classes have no names, so class_index decides; for example, it "
            f"cannot be checked that {example.label} is {example.class_name} "
            f"(--labels FILE, or labels= in the plan, names the classes)"
        )
    if known.disputed:
        notify(
            f"class_index and class_name are different classes of the classifier, for example "
            f"{next(iter(known.disputed))}; class_name decides for "
            f"{_format_images(known.disputed)} (without the column class_name, class_index decides)"
        )
    if items and not known.items:
        raise ValueError(
            f"no label is a class of the classifier, for example {next(iter(known.unknown))!r}; "
            f"labels must be indices or names of its classes, or WordNet ids with --wnids"
        )
    if known.unknown:
        listed = ", ".join(list(known.unknown)[:5]) + (", ..." if len(known.unknown) > 5 else "")
        notify(
            f"{_format_images(known.unknown)} left out, with labels that are not classes of the "
            f"classifier: {listed}"
        )
    every = find_known_items(everything or items, classifier.class_names, named=named).items
    return join_items(known.items, every)


def _has_class_names(classifier: Classifier) -> bool:
    """Return whether the classes have names of their own, and not just numbers."""
    sources = classifier.provenance.get("preprocessing", {}).get("sources", {})
    if "class_names" in sources:
        return bool(sources["class_names"] != "numbered")
    return tuple(classifier.class_names) != tuple(map(str, range(len(classifier.class_names))))


def _find_class(
    label: int | str, name: str | None, class_names: Sequence[str], names: Sequence[set[str]]
) -> int | None:
    """Return the index of a label's class, or None; `names` holds the names of each class."""
    if name is None:
        target: int | Top | None = None
        with suppress(ValueError):
            (target,) = parse_targets(label, class_names, by_part=False)
        if isinstance(target, int) or isinstance(label, int):
            return target if isinstance(target, int) else None
        name = label
    wanted = _split_names(name)
    if isinstance(label, int) and 0 <= label < len(names) and _share_a_name(wanted, names[label]):
        return label
    equal = [index for index, own in enumerate(names) if own == wanted]
    fitting = equal or [index for index, own in enumerate(names) if own & wanted]
    return fitting[0] if len(fitting) == 1 else None


def _split_names(class_name: str) -> set[str]:
    parts = (part.replace("_", " ").strip().casefold() for part in class_name.split(","))
    return {part for part in parts if part}


def _share_a_name(first: set[str], second: set[str]) -> bool:
    """Return whether the sets share a name; one side may add a kind, as in ``crane (bird)``."""
    bare = [{re.sub(r" *\([^()]*\)$", "", name) for name in names} for names in (first, second)]
    return bool(first & second or first & bare[1] or bare[0] & second)


def _format_images(counts: Mapping[str, int]) -> str:
    """Format the sum of some counts of images."""
    n = sum(counts.values())
    return f"{n} image" if n == 1 else f"{n} images"


def _count(counts: dict[str, int], label: str) -> None:
    counts[label] = counts.get(label, 0) + 1
