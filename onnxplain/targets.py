"""The classes of an image to explain: by index, by name, or the most probable ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.mistakes import describe_unknown

Target: TypeAlias = SupportsIndex | str | Sequence[SupportsIndex | str] | None

_TOP = re.compile(r"top-?(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Top:
    """The `n` most probable classes of each image."""

    n: int


Targets: TypeAlias = tuple[int | Top, ...]


def parse_targets(target: Target, class_names: Sequence[str], *, by_part: bool = True) -> Targets:
    """Look up targets among the classes of a classifier.

    Parameters
    ----------
    target : int, str, or a sequence of them, or None
        The index of a class; its name, one of several names that commas separate, or a part of
        the name of one class only, in upper or lower case; or ``'top-3'`` for the three most
        probable classes of each image. None means the most probable class.
    class_names : sequence of str
        A name for every class.
    by_part : bool
        Whether a part of a name will do.

    Returns
    -------
    targets : tuple
        Indices of classes, or `Top` if they depend on the image.

    Raises
    ------
    ValueError
        If there is no such class, or a name fits several.
    TypeError
        If a target is neither an index nor a name.

    Examples
    --------
    >>> names = ["hot dog", "tabby, tabby cat", "Labrador retriever"]
    >>> parse_targets("Tabby Cat", names), parse_targets("retriever", names)
    ((1,), (2,))
    """
    if target is None:
        return (Top(1),)
    if isinstance(target, bool | np.bool_):
        raise TypeError(
            f"target takes a class, got {target!r}; leave it out for the predicted class, or give "
            f"an index or a name"
        )
    if isinstance(target, SupportsIndex | str):
        target = [target]
    if isinstance(target, bytes) or not isinstance(target, Iterable):
        raise TypeError(f"target takes an index, a name or a list of them, got {target!r}")
    if not target:
        raise ValueError("target is an empty list; give classes, or None for the predicted one")
    return tuple(_parse_target(element, class_names, by_part) for element in target)


def choose_targets(targets: Targets, probabilities: NDArray[np.floating]) -> list[int]:
    """Choose the classes to explain, each once, for an image with these probabilities (K,)."""
    ranked = np.argsort(-probabilities, kind="stable").tolist()
    chosen: list[int] = []
    for target in targets:
        chosen += ranked[: target.n] if isinstance(target, Top) else [target]
    return list(dict.fromkeys(chosen))


def count_targets(targets: Targets) -> int:
    """Return the largest possible number of classes to explain per image."""
    return sum(target.n if isinstance(target, Top) else 1 for target in targets)


def _parse_target(
    target: SupportsIndex | str, class_names: Sequence[str], by_part: bool
) -> int | Top:
    if isinstance(target, bool | np.bool_):
        raise TypeError(f"a target is an index or a name of a class, got {target!r}")
    if isinstance(target, str):
        by_name = _find_class(target, class_names)
        if by_name is not None:
            return by_name
        if top := _TOP.fullmatch(target.strip()):
            return Top(_check_top(int(top[1]), len(class_names)))
        if not re.fullmatch(r"[+-]?\d+", target.strip()):
            return _find_by_part(target, class_names, by_part)
        target = int(target)
    if not 0 <= index(target) < len(class_names):
        raise ValueError(
            f"target must be a class from 0 to {len(class_names) - 1}, got {target}; "
            f"names of classes and top-N are accepted too"
        )
    return index(target)


def _check_top(n: int, n_classes: int) -> int:
    if not 1 <= n <= n_classes:
        raise ValueError(f"target top-N must ask for 1 to {n_classes} classes, got {n}")
    return n


def _find_class(name: str, class_names: Sequence[str]) -> int | None:
    """Find the class with exactly this name, or first name, or with it among its names."""
    wanted = name.strip().casefold()
    folded = [class_name.casefold() for class_name in class_names]
    names = [_split_names(class_name) for class_name in folded]
    indices = (
        [i for i, class_name in enumerate(folded) if class_name == wanted]
        or [i for i, synonyms in enumerate(names) if wanted == synonyms[0]]
        or [i for i, synonyms in enumerate(names) if wanted in synonyms]
    )
    if len(indices) > 1:
        listed = _list_classes(indices, class_names)
        raise ValueError(f"target {name!r} fits several classes; give an index: {listed}")
    return indices[0] if indices else None


def _find_by_part(target: str, class_names: Sequence[str], by_part: bool) -> int:
    """Find the only class that has the words in its name, or else the only one with the letters."""
    part = target.strip().casefold()
    readable = [name.casefold().replace("_", " ") for name in class_names]
    # As "cat" in "tabby cat" and "big cats", but not in "catamaran".
    word = re.compile(rf"(?<!\w){re.escape(part)}(s|es)?(?!\w)")
    holding = [i for i, name in enumerate(readable) if part and word.search(name)]
    if by_part:
        holding = holding or [i for i, name in enumerate(readable) if part and part in name]
        if len(holding) == 1:
            return holding[0]
    if not holding and _are_numbered(class_names):
        raise ValueError(
            f"target {target!r} is unknown, as the classifier knows no names of its classes; give "
            f"an index from 0 to {len(class_names) - 1}, or the names: labels=, --labels FILE"
        )
    if not holding:
        raise ValueError(f"target {describe_unknown(target, _list_synonyms(class_names))}")
    listed = _list_classes(holding, class_names)
    if len(holding) == 1:
        raise ValueError(f"target {target!r} is unknown; a class with this word: {listed}")
    raise ValueError(
        f"target {target!r} fits several classes; give an index or a longer part: {listed}"
    )


def _list_classes(indices: Sequence[int], class_names: Sequence[str]) -> str:
    """List classes with their indices, the first ten of many."""
    listed = ", ".join(f"{i} ({class_names[i]})" for i in indices[:10])
    return listed + (f", ... ({len(indices)} in all)" if len(indices) > 10 else "")


def _are_numbered(class_names: Sequence[str]) -> bool:
    """Return whether numbers stand in for the names of the classes."""
    return all(
        class_name in (str(index), f"class {index}") for index, class_name in enumerate(class_names)
    )


def _split_names(class_name: str) -> list[str]:
    return [name.strip() for name in class_name.split(",")]


def _list_synonyms(class_names: Iterable[str]) -> list[str]:
    """Return every name in lower case, as suggestions are compared in lower case."""
    return [name for class_name in class_names for name in _split_names(class_name.lower())]
