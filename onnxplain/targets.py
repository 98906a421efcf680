"""The classes of an image to explain: by index, by name, or the most probable ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.params import describe_unknown

Target: TypeAlias = SupportsIndex | str | Sequence[SupportsIndex | str] | None

_TOP = re.compile(r"top-?(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Top:
    """The `n` most probable classes of each image."""

    n: int


Targets: TypeAlias = tuple[int | Top, ...]


def parse_targets(target: Target, class_names: Sequence[str]) -> Targets:
    """Look up targets among the classes of a classifier.

    Parameters
    ----------
    target : int, str, or a sequence of them, or None
        The index of a class; its name, or one of several names that commas separate, in upper
        or lower case; or ``'top-3'`` for the three most probable classes of each image. None
        means the most probable class.
    class_names : sequence of str
        A name for every class.

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
    >>> parse_targets("Kitty", ["dog", "cat, kitty"])
    (1,)
    """
    if target is None:
        return (Top(1),)
    if isinstance(target, SupportsIndex | str):
        target = [target]
    if isinstance(target, bytes) or not isinstance(target, Iterable):
        raise TypeError(f"target takes an index, a name or a list of them, got {target!r}")
    if not target:
        raise ValueError("target is an empty list; give classes, or None for the predicted one")
    return tuple(_parse_target(element, class_names) for element in target)


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


def _parse_target(target: SupportsIndex | str, class_names: Sequence[str]) -> int | Top:
    if isinstance(target, str):
        by_name = _find_class(target, class_names)
        if by_name is not None:
            return by_name
        if top := _TOP.fullmatch(target.strip()):
            return Top(_check_top(int(top[1]), len(class_names)))
        if not re.fullmatch(r"[+-]?\d+", target.strip()):
            raise ValueError(f"target {_describe_unknown_class(target, class_names)}")
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
    """Find the class with exactly this name, or else the one that has it among its names."""
    wanted = name.strip().casefold()
    folded = [class_name.casefold() for class_name in class_names]
    exact = [i for i, class_name in enumerate(folded) if class_name == wanted]
    indices = exact or [i for i, names in enumerate(folded) if wanted in _split_names(names)]
    if len(indices) > 1:
        listed = ", ".join(f"{i} ({class_names[i]})" for i in indices)
        raise ValueError(f"target {name!r} fits several classes; give an index: {listed}")
    return indices[0] if indices else None


def _split_names(class_name: str) -> list[str]:
    return [name.strip() for name in class_name.split(",")]


def _describe_unknown_class(target: str, class_names: Sequence[str]) -> str:
    """Say which names hold the word, as "cat" in "tabby cat", or else which is spelt alike."""
    word = re.compile(rf"\b{re.escape(target.strip().casefold())}(s|es)?\b")
    holding = [
        f"{index} ({name})"
        for index, name in enumerate(class_names)
        if word.search(name.casefold().replace("_", " "))
    ]
    if not holding or not target.strip():
        return describe_unknown(target, _list_synonyms(class_names))
    listed = ", ".join(holding[:10])
    more = f", ... ({len(holding)} in all)" if len(holding) > 10 else ""
    return f"{target!r} is unknown; classes with this word: {listed}{more}"


def _list_synonyms(class_names: Iterable[str]) -> list[str]:
    """Return every name in lower case, as suggestions are compared in lower case."""
    return [name for class_name in class_names for name in _split_names(class_name.lower())]
