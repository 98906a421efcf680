"""Plan files: what to explain and how, in TOML. Options on the command line win.

Example::

    target = ["espresso", "top-3"]
    seed = 1
    fill = "blur:sigma=5"

    [method]
    name = "rise"
    n_masks = 8000

A method and a fill are a text or a table, with their parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxplain.registry import Entry, parse_entry, read_plan_toml

DEFAULT_METHOD = Entry("rise")


@dataclass(frozen=True)
class Planned:
    """What a plan file says; None is what it leaves open."""

    method: Entry = DEFAULT_METHOD
    fill: Entry | None = None
    target: tuple[str | int, ...] = ()
    seed: int | None = None


def read_explain_plan(path: Path) -> Planned:
    """Read a plan file.

    Raises
    ------
    ValueError
        If it cannot be read, or says what a plan cannot.
    """
    given: dict[str, Any] = read_plan_toml(path, ("method", "fill", "target", "seed"))
    for key in ("method", "fill"):
        if key not in given:
            continue
        try:
            given[key] = parse_entry(given[key])
        except ValueError as error:
            raise ValueError(f"{path}: {key}: {error}") from error
    target = given.get("target", [])
    given["target"] = tuple(target) if isinstance(target, list) else (target,)
    if not all(isinstance(one, str) or _whole(one) for one in given["target"]):
        raise ValueError(f"{path}: target takes indices and names of classes, got {target!r}")
    if not _whole(given.get("seed", 0)):
        raise ValueError(f"{path}: seed takes an integer, got {given['seed']!r}")
    return Planned(**given)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
