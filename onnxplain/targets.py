"""Which classes of an image are explained: by index, by name, or the most probable ones."""

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
    """The `n` most probable classes, whichever they are."""

    n: int


Targets: TypeAlias = tuple[int | Top, ...]


def parse_targets(target: Target, class_names: Sequence[str]) -> Targets:
    """Look the targets up among a classifier's classes.

    Parameters
    ----------
    target : int, str, or a sequence of them, or None
        The index of a class; its name, in any case, or one of its names where commas part
        several; ``'top-3'`` for the three most probable classes of each image. None is the
        most probable one.
    class_names : sequence of str
        A name for every class.

    Returns
    -------
    targets : tuple
        Indices of classes, and `Top` where they depend on the image.

    Raises
    ------
    ValueError
        If there is no such class, or a name fits several.

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
    return tuple(_parse(one, class_names) for one in target)


def choose_targets(targets: Targets, probabilities: NDArray[np.floating]) -> list[int]:
    """The classes to explain of an image with these probabilities (K,), each once."""
    ranked = np.argsort(-probabilities, kind="stable").tolist()
    chosen: list[int] = []
    for one in targets:
        chosen += ranked[: one.n] if isinstance(one, Top) else [one]
    return list(dict.fromkeys(chosen))


def count_targets(targets: Targets) -> int:
    """Classes to explain of one image, at most."""
    return sum(one.n if isinstance(one, Top) else 1 for one in targets)


def _parse(target: SupportsIndex | str, class_names: Sequence[str]) -> int | Top:
    if isinstance(target, str):
        named = _named(target, class_names)
        if named is not None:
            return named
        if top := _TOP.fullmatch(target.strip()):
            return Top(_check_top(int(top[1]), len(class_names)))
        if not re.fullmatch(r"[+-]?\d+", target.strip()):
            raise ValueError(f"target {describe_unknown(target, _synonyms(class_names))}")
        target = int(target)
    if not 0 <= index(target) < len(class_names):
        raise ValueError(
            f"target must be a class from 0 to {len(class_names) - 1}, got {target}; "
            f"or give its name, or top-N"
        )
    return index(target)


def _check_top(n: int, n_classes: int) -> int:
    if not 1 <= n <= n_classes:
        raise ValueError(f"target top-N must ask for 1 to {n_classes} classes, got {n}")
    return n


def _named(name: str, class_names: Sequence[str]) -> int | None:
    """The class of that whole name, else the one that has it among its names."""
    wanted = name.strip().casefold()
    whole = [i for i, one in enumerate(class_names) if one.casefold() == wanted]
    among = [i for i, one in enumerate(class_names) if wanted in _split(one.casefold())]
    found = whole or among
    if len(found) > 1:
        listed = ", ".join(f"{i} ({class_names[i]})" for i in found)
        raise ValueError(f"target {name!r} fits several classes; give an index: {listed}")
    return found[0] if found else None


def _split(class_name: str) -> list[str]:
    return [part.strip() for part in class_name.split(",")]


def _synonyms(class_names: Iterable[str]) -> list[str]:
    """Every name in lower case, as suggestions compare with that."""
    return [part for one in class_names for part in _split(one.lower())]
