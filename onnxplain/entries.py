"""Things that are asked for by name, with parameters: as words, or as tables of a plan in TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnxplain.params import unknown


@dataclass(frozen=True)
class Entry:
    """Something by name, with parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def read_toml(path: Path, known: Collection[str]) -> dict[str, Any]:
    """What a plan file says, by its keys.

    Raises
    ------
    ValueError
        If it cannot be read, or has a key that is not known.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: not a readable plan: {error}") from error
    for key in content:
        if key not in known:
            raise ValueError(f"{path}: {unknown(key, known)}")
    return content


def entry(given: str | Mapping[str, Any]) -> Entry:
    """A name with parameters, out of a text or a table of TOML.

    Examples
    --------
    >>> entry("colour:rgb=[1, 0, 0.5]").parameters
    {'rgb': (1, 0, 0.5)}
    >>> entry("deletion:step=500,fill=blur").parameters
    {'step': 500, 'fill': 'blur'}

    Raises
    ------
    ValueError
        If it has no name, or a parameter no value.
    """
    if isinstance(given, str):
        name, _, text = given.partition(":")
        if "=" not in text and ("/" in given or "\\" in given):  # a path: C:\model.onnx
            name, text = given, ""
        parameters = dict(_assignment(part) for part in _split(text)) if text else {}
        return Entry(name, parameters)
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ValueError(f"takes a name, or a table with a name; got {given!r}")  # noqa: TRY004
    return Entry(
        given["name"], {key: _frozen(value) for key, value in given.items() if key != "name"}
    )


def _split(text: str) -> list[str]:
    """Parts between commas that stand in no brackets."""
    return re.split(r",(?![^\[]*\])", text)


def _assignment(part: str) -> tuple[str, Any]:
    key, sign, text = part.partition("=")
    if not (key.strip() and sign and text.strip()):
        raise ValueError(f"parameters are written key=value, parted by commas; got {part!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a text needs no quotes
    return key.strip(), _frozen(value)


def _frozen(value: Any) -> Any:
    """TOML has no tuples."""
    return tuple(value) if isinstance(value, list) else value
