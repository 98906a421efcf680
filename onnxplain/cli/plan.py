"""Plan files: what to explain and how, in TOML. Options on the command line win.

Example::

    target = ["espresso", "top-3"]
    seed = 1

    [method]
    name = "rise"
    n_masks = 8000

    [fill]
    name = "blur"
    sigma = 5
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnxplain.params import unknown


@dataclass(frozen=True)
class Plan:
    """What a plan file says; None is what it leaves open.

    `parameters` and `fill_parameters` belong to the method and fill that it names.
    """

    method: str | None = None
    fill: str | None = None
    target: tuple[str | int, ...] = ()
    seed: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    fill_parameters: Mapping[str, Any] = field(default_factory=dict)


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises
    ------
    ValueError
        If it cannot be read, or says what a plan cannot.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: not a readable plan: {error}") from error
    known = ("method", "fill", "target", "seed")
    for key in content:
        if key not in known:
            raise ValueError(f"{path}: {unknown(key, known)}")
    method, parameters = _part(content, "method", path)
    fill, fill_parameters = _part(content, "fill", path)
    target = content.get("target", [])
    target = target if isinstance(target, list) else [target]
    seed = content.get("seed")
    if not all(isinstance(one, str) or _whole(one) for one in target):
        raise ValueError(f"{path}: target takes indices and names of classes, got {target!r}")
    if not (seed is None or _whole(seed)):
        raise ValueError(f"{path}: seed takes an integer, got {seed!r}")
    return Plan(method, fill, tuple(target), seed, parameters, fill_parameters)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _part(content: Mapping[str, Any], key: str, path: Path) -> tuple[str | None, dict[str, Any]]:
    """The name and the parameters of ``[method]`` or ``[fill]``, which may be just a name."""
    given = content.get(key, {})
    table = {"name": given} if isinstance(given, str) else given
    name = table.get("name") if isinstance(table, dict) else None
    if table and not isinstance(name, str):
        raise ValueError(f"{path}: {key} takes a name, or a table with a name; got {given!r}")
    parameters = {  # TOML has no tuples
        one: tuple(value) if isinstance(value, list) else value
        for one, value in table.items()
        if one != "name"
    }
    return name, parameters
