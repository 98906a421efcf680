"""Plan files in TOML: what to explain and how. Options on the command line override them.

Example::

    target = ["espresso", "top-3"]
    seed = 1
    fill = "blur:sigma=5"

    [method]
    name = "rise"
    n_masks = 8000

Method and fill are texts or tables, and may have parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxplain.registry import Entry, parse_entry, read_plan_toml

DEFAULT_METHOD = Entry("rise")


@dataclass(frozen=True)
class ExplainPlan:
    """The content of a plan file; None for what it leaves out."""

    method: Entry = DEFAULT_METHOD
    fill: Entry | None = None
    target: tuple[str | int, ...] = ()
    seed: int | None = None


def read_explain_plan(path: Path) -> ExplainPlan:
    """Read a plan file.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds an unknown key or an impossible value.
    """
    fields: dict[str, Any] = read_plan_toml(path, ("method", "fill", "target", "seed"))
    for key in ("method", "fill"):
        if key not in fields:
            continue
        try:
            fields[key] = parse_entry(fields[key])
        except ValueError as error:
            raise ValueError(f"{path}: {key}: {error}") from error
    target = fields.get("target", [])
    fields["target"] = tuple(target) if isinstance(target, list) else (target,)
    if not all(isinstance(label, str) or _is_integer(label) for label in fields["target"]):
        raise ValueError(
            f"{path}: target must be an index or a name of a class, or several; got {target!r}"
        )
    if not _is_integer(fields.get("seed", 0)):
        raise ValueError(f"{path}: seed must be an integer, got {fields['seed']!r}")
    return ExplainPlan(**fields)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
